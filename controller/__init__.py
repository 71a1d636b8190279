"""The controller: a webhook that injects the sidecar into the pods of PhJobs, and a reconciler of PhJobs."""

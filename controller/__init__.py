"""The controller: puts the sidecar into the pods of PhJobs, and looks after them."""

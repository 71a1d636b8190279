"""Adds the sidecar to a pod. Pure functions from a pod to a pod; the entry point is `injection`."""

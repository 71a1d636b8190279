"""Kubernetes over its REST API: requests, list and watch, work queue, Lease. Does not depend on artifacts."""

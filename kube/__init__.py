"""Kubernetes over its raw REST API: requests, list and watch, Lease. Nothing of artifacts is in it."""

"""Runs jobs on one machine without a cluster: PhJobs are files, main and the sidecar are processes.

The composition root: the only package that may import the other parts.
"""

"""One machine, no cluster: PhJobs as files, main and the sidecar as processes.

The composition root: the only package that may import the other parts.
"""

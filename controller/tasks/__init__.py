"""Periodic tasks of the leader besides PhJobs: the webhook's certificate, and the key that signs download links."""

"""What the leader keeps in order beside PhJobs: the webhook's certificate, and the key of signed links."""

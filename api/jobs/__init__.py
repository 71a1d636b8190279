"""Where PhJobs come from: what the API knows of one, and the interface of its sources."""

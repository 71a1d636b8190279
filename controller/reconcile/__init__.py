"""Looks after PhJobs: their pods, their status, what became of their artifacts."""

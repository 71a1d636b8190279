"""Reconciles PhJobs: their pods, their status, and the status of their artifacts."""

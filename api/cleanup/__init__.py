"""The daily cleanup: removes the job folders whose artifacts have expired, and measures how much is stored."""

"""PhJobs: the API's model of a PhJob, and the sources that it is read from."""

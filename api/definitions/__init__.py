"""PrimeHub's definitions of what a job can use: instance types and images."""

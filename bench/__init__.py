"""Benchmarks whose results the documentation quotes, such as the sidecar compared with PrimeHub's shell wrapper."""

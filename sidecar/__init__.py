"""The collector that runs beside `main` in every job pod: collects its files within the limits, and reports.

It imports only the standard library, watchdog, prometheus-client, and `artifacts` (the contract), to stay small.
"""

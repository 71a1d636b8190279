"""The collector that runs beside `main` in every job pod: watches, copies within the limits, seals, reports.

It is tiny on purpose: standard library, watchdog and prometheus-client, and `artifacts` (the contract).
"""

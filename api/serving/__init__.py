"""The asynchronous HTTP server: no client holds a thread. `api serve` and local mode do not use it yet."""

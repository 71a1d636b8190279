"""The signals that the sidecar takes. Apart from all else: they are blocked before anything else is imported."""

import signal

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1})

"""Where `python -m sidecar` begins: the signals are blocked and `sync-now` is answered before anything is imported.

PID 1 loses a SIGTERM that comes while Python starts, unless it is blocked before: the container's command is
`env --block-signal=TERM,USR1 python3 -m sidecar`. Blocking here covers whoever starts it without.
"""

import os
import signal
import sys

from sidecar.signals import SIGNALS


def main() -> int:
    """No arguments: the sidecar. `sync-now [PID]`: ask the running one (PID 1) for a sync at once, for preStop."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["sync-now"]:
        return sync_now(arguments[1:])
    if arguments:
        from sidecar.command import run_command  # noqa: PLC0415 - of no use in a pod

        return run_command(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # of a lease that met a writer: see lease.py
    from sidecar.process import run  # noqa: PLC0415 - not before the signals are blocked

    return run(dict(os.environ))


def sync_now(arguments: list[str]) -> int:
    """Send SIGUSR1, as `kill -USR1 1` would."""
    try:
        pid = int(arguments[0]) if arguments else 1
        if pid <= 0:
            raise ValueError(f"{pid} is no process id")  # to kill(2) it is a whole group of processes
        os.kill(pid, signal.SIGUSR1)
    except (OSError, ValueError) as error:
        print(f"no sidecar to ask: {error}; give its process id: python -m sidecar sync-now PID", file=sys.stderr)
        return 1
    return 0

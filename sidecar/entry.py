"""The entry point of `python -m sidecar`: blocks the signals, and runs `sync-now`, before it imports the sidecar.

The kernel discards a SIGTERM to PID 1 until the process has a handler for it, unless the signal is blocked. The
container's command is therefore `env --block-signal=TERM,USR1 python3 -m sidecar`; blocking the signals here as well
protects sidecars that are started without `env`.
"""

import os
import signal
import sys

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1})


def main() -> int:
    """Run the sidecar, the command `sync-now [PID]`, or an option for people. Returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["sync-now"]:
        return sync_now(arguments[1:])
    if arguments:
        from sidecar.command import run_command  # noqa: PLC0415 - not needed in a pod

        return run_command(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent if a file lease meets a writer: see is_open_for_writing
    from sidecar.process import run  # noqa: PLC0415 - not before the signals are blocked

    return run(dict(os.environ))


def sync_now(arguments: list[str]) -> int:
    """Ask the running sidecar (PID 1, or the PID given) to sync at once: send SIGUSR1, as `kill -USR1` does."""
    try:
        pid = int(arguments[0]) if arguments else 1
        if pid <= 0:
            raise ValueError(f"invalid process id {pid}")  # kill(2) would signal a whole process group
        os.kill(pid, signal.SIGUSR1)
    except (OSError, ValueError) as error:
        print(
            f"cannot signal the sidecar: {error}; pass its process id: python -m sidecar sync-now PID", file=sys.stderr
        )
        return 1
    return 0

"""Starts a job's two processes, and makes sure that a job ends as completely as a container.

The end of a container kills every process in it. Here the runner becomes the parent of all orphans among its
descendants (PR_SET_CHILD_SUBREAPER), so that it can kill all processes that main left, daemons included. A process runs
one job in one thread. Signals are blocked and waited for, not handled, so none is lost and none interrupts other work.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.environment import module_environ

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

_KILL_TIMEOUT_SECONDS = 5.0
_MAX_WAIT_SECONDS = 3600.0


def block_signals() -> frozenset[signal.Signals]:
    """Block SIGCHLD and the signals that cancel a job, and return the latter.

    A signal that is ignored (by nohup, or in a shell's background job) stays ignored.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    candidates = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    cancelling = frozenset(number for number in candidates if signal.getsignal(number) != signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *cancelling})
    return cancelling


def wait_signal(cancelling: frozenset[signal.Signals], seconds: float) -> int | None:
    """Wait until a child changes, a cancelling signal arrives (it is returned), or `seconds` have passed."""
    accepted = {signal.SIGCHLD, *cancelling}
    received = signal.sigtimedwait(accepted, max(0.0, min(seconds, _MAX_WAIT_SECONDS)))
    return received.si_signo if received and received.si_signo != signal.SIGCHLD else None


def adopt_orphans() -> None:
    """Make this process the parent of every orphan among its descendants."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def start_runner(data: Path, job: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the runner of a queued job in its own session, so that only explicit signals reach it. Raises OSError.

    SIGTERM is blocked from the start, so that one sent while Python is starting stays pending.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "local", "run-queued", "--data", str(data), job],
        env=module_environ(environ),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_child_setup(signal.SIGTERM, (signal.SIGTERM,)),  # noqa: PLW1509 - takes no lock
    )


def start_main(
    command: Sequence[str], home: Path, environ: Mapping[str, str], log: Path | None
) -> subprocess.Popen[bytes]:
    """Start main in its own session, which the terminal's Ctrl-C does not reach. Raises OSError.

    Main cannot read from a terminal, as in a pod. If there is a `log`, main's output is appended to it.
    """
    argv = ["sh", "-c", command[0]] if len(command) == 1 else list(command)
    with log.open("ab") if log else contextlib.nullcontext() as output:
        return subprocess.Popen(
            argv,
            cwd=home,
            env=dict(environ),
            stdin=subprocess.DEVNULL if sys.stdin is None or os.isatty(0) else None,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_child_setup(signal.SIGKILL, ()),  # noqa: PLW1509 - one thread
        )


def start_sidecar(environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the sidecar in its own session, with its output appended to `log`. Raises OSError.

    SIGTERM and SIGUSR1 are blocked from the start, as the entrypoint of its image does, so that a signal sent while
    Python is starting stays pending instead of killing the process.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "sidecar"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_child_setup(signal.SIGTERM, (signal.SIGTERM, signal.SIGUSR1)),  # noqa: PLW1509 - one thread
        )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended. Does not reap it, so its process group's id cannot be reused yet."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the process group of a process that is not reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended, or run as another user
        os.killpg(process.pid, number)


def reap_orphans(own: frozenset[int]) -> None:
    """Reap the children that have ended, except those in `own`."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, flags)) and ended.si_pid not in own:
            os.waitpid(ended.si_pid, 0)


def kill_orphans(own: frozenset[int]) -> list[int]:
    """Kill all children except those in `own`, including orphans that appear meanwhile. Returns the survivors."""
    deadline = time.monotonic() + _KILL_TIMEOUT_SECONDS
    while orphans := _children() - own:
        if time.monotonic() > deadline:
            return sorted(orphans)
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
        for pid in orphans:
            os.waitpid(pid, os.WNOHANG)
    return []


def _children() -> set[int]:
    own_pid, children = os.getpid(), set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_bytes()
            except OSError:
                continue
            # Fields: pid (name) state parent ... The name may contain any characters, even parentheses.
            if int(stat.rpartition(b")")[2].split()[1]) == own_pid:
                children.add(int(entry))
    return children


def _child_setup(parent_death: signal.Signals, blocked: Sequence[signal.Signals]) -> Callable[[], None]:
    """Return a function to call in the child before exec. The child receives `parent_death` when the runner dies."""

    def setup() -> None:
        # Discard a Ctrl-C from just before the child got its own session: it was for the runner.
        while signal.sigtimedwait((signal.SIGINT, signal.SIGHUP), 0):
            pass
        _libc.prctl(_PR_SET_PDEATHSIG, parent_death, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    return setup

"""The two processes of a job, and what Linux must be told so that a job ends as a container does.

A container's end kills all that ran in it; here the runner is made the parent of every orphan below it
(PR_SET_CHILD_SUBREAPER), so nothing that main left behind, daemons included, outlives it. One job per
process, one thread: signals are blocked and waited for, never handled, so none is lost or comes in between.
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

_KILL_SECONDS = 5.0
_LONG_SECONDS = 3600.0


def block_signals() -> frozenset[signal.Signals]:
    """Block SIGCHLD and the signals that cancel a job; returns the latter.

    One that is ignored (nohup, a shell's background job) stays ignored.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    cancelling = frozenset(each for each in wanted if signal.getsignal(each) != signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *cancelling})
    return cancelling


def wait_signal(cancelling: frozenset[signal.Signals], seconds: float) -> int | None:
    """Wait until a child changes, `seconds` have passed or a cancelling signal comes (it is returned)."""
    wanted = {signal.SIGCHLD, *cancelling}
    received = signal.sigtimedwait(wanted, max(0.0, min(seconds, _LONG_SECONDS)))
    return received.si_signo if received and received.si_signo != signal.SIGCHLD else None


def adopt_orphans() -> None:
    """Make this process the parent of every orphan among its descendants."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def start_runner(data: Path, job: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the runner of a queued job in a session of its own, for which SIGTERM alone is meant.

    SIGTERM is blocked from its first instruction: one that comes while Python starts waits. Raises OSError.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "local", "run-queued", "--data", str(data), job],
        env=module_environ(environ),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_child(signal.SIGTERM, (signal.SIGTERM,)),  # noqa: PLW1509 - nothing in it takes a lock
    )


def start_main(
    command: Sequence[str], home: Path, environ: Mapping[str, str], log: Path | None
) -> subprocess.Popen[bytes]:
    """Start main in a session of its own, where the terminal's Ctrl-C does not reach it. Raises OSError.

    A terminal is not passed on as its input: a job in a pod has none either. Where there is a `log`, what main
    says goes to its end.
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
            preexec_fn=_child(signal.SIGKILL, ()),  # noqa: PLW1509 - one thread
        )


def start_sidecar(environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the sidecar in a session of its own, its log going to the end of `log`.

    SIGTERM and SIGUSR1 are blocked from its first instruction, as its image's entrypoint blocks them: one
    that comes while Python starts waits, and does not kill.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "sidecar"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_child(signal.SIGTERM, (signal.SIGTERM, signal.SIGUSR1)),  # noqa: PLW1509 - one thread
        )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without reaping it: until then its process group's number cannot be another's."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send the signal to the process, which is not reaped yet, and all that it started in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all are gone, or changed their user
        os.killpg(process.pid, number)


def reap_orphans(own: frozenset[int]) -> None:
    """Reap the orphans that have ended, but none of `own`."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, flags)) and ended.si_pid not in own:
            os.waitpid(ended.si_pid, 0)


def kill_orphans(own: frozenset[int]) -> list[int]:
    """Kill every child but `own`, and those that become ours by that; returns the ones that would not die."""
    deadline = time.monotonic() + _KILL_SECONDS
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
    me, children = os.getpid(), set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_bytes()
            except OSError:
                continue
            # pid (name, which may hold anything) state parent ...
            if int(stat.rpartition(b")")[2].split()[1]) == me:
                children.add(int(entry))
    return children


def _child(parent_death: signal.Signals, blocked: Sequence[signal.Signals]) -> Callable[[], None]:
    """What a child does before exec. Without a runner main is killed, and the sidecar syncs and ends."""

    def prepare() -> None:
        # The terminal's Ctrl-C may have come just before the session of its own: it was not meant for the child.
        while signal.sigtimedwait((signal.SIGINT, signal.SIGHUP), 0):
            pass
        _libc.prctl(_PR_SET_PDEATHSIG, parent_death, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    return prepare

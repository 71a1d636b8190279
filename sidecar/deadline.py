"""How long the last sync may take. Pure: the kubelet's arithmetic of grace periods, as tried on a real one."""

from dataclasses import dataclass

LEAST_SECONDS = 2.0  # what the kubelet leaves a container whose grace period is used up, or was shorter
EVICTION_SECONDS = 1.0  # the grace period of an evicted pod, whatever its own is
_KILL_SECONDS = 0.15  # from a SIGKILL that is due until main is gone; seen: 0.06


@dataclass(frozen=True)
class Deadlines:
    """Monotonic seconds: until when main may still run (`main`), when to stop copying (`sync`), when to be gone
    (`exit`), before the kubelet's SIGKILL."""

    main: float
    sync: float
    exit: float


def deadlines(grace_seconds: float, terminated: float, prestop: float | None) -> Deadlines:
    """The deadlines of a last sync whose SIGTERM came at `terminated`.

    `prestop` is when preStop ran, which is when the termination of the pod began: after main's own end that is just
    before SIGTERM, but on a delete, main's time to end has been taken from the grace period.

    SIGTERM mostly means that main has ended. Of an evicted pod the sidecar gets it after a second, and main has two: a
    kubelet removes what ends before main, and what it said is lost. So where SIGTERM comes in that second, and main
    may just as well have taken so long to obey, main is given its time.
    """
    began = terminated if prestop is None or prestop < terminated - grace_seconds else prestop
    killed = max(began + grace_seconds, terminated + LEAST_SECONDS)
    left = killed - terminated
    may_be_evicted = EVICTION_SECONDS - 0.1 <= terminated - began < LEAST_SECONDS
    main = began + LEAST_SECONDS + _KILL_SECONDS if may_be_evicted else terminated
    return Deadlines(main, killed - max(0.6, min(3.0, left / 10)), killed - 0.3)

"""How long the last sync may take. Pure: the kubelet's arithmetic of grace periods, as tried on a real one."""

from dataclasses import dataclass

LEAST_SECONDS = 2.0  # what the kubelet leaves a sidecar whose main used up the grace period


@dataclass(frozen=True)
class Deadlines:
    """Monotonic seconds: when to stop copying (`sync`), when to be gone (`exit`), before the kubelet's SIGKILL."""

    sync: float
    exit: float


def deadlines(grace_seconds: float, terminated: float, prestop: float | None) -> Deadlines:
    """The deadlines of a last sync whose SIGTERM came at `terminated`.

    `prestop` is when preStop ran, which is when the termination of the pod began: after main's own end that is just
    before SIGTERM, but on a delete, main's time to end has been taken from the grace period.
    """
    began = terminated if prestop is None or prestop < terminated - grace_seconds else prestop
    killed = max(began + grace_seconds, terminated + LEAST_SECONDS)
    left = killed - terminated
    return Deadlines(killed - max(0.6, min(3.0, left / 10)), killed - 0.3)

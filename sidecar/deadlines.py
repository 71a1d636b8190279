"""Computes the deadlines of the last sync from the kubelet's grace periods, as measured on a real kubelet. Pure."""

from dataclasses import dataclass
from math import inf

MIN_GRACE_SECONDS = 2.0  # the kubelet grants a container this much even if the grace period is shorter or used up
EVICTION_GRACE_SECONDS = 1.0  # of an evicted pod, whatever the pod's own grace period is
_KILL_SECONDS = 0.15  # from the kubelet's SIGKILL until main has ended; measured: 0.06


@dataclass(frozen=True)
class Deadlines:
    """Times on the monotonic clock, in seconds.

    `main_until`: main may run until then. `sync_until`: stop copying. `exit_until`: exit, before the kubelet's SIGKILL.
    """

    main_until: float
    sync_until: float
    exit_until: float


def compute_deadlines(grace_seconds: float, sigterm_at: float, prestop_at: float | None) -> Deadlines:
    """Compute the deadlines of a last sync from the times of SIGTERM and preStop (monotonic seconds).

    A grace period of 0 means that nothing will kill the sidecar: there are no deadlines, and main has ended.

    preStop marks the start of the pod's termination. If main ended by itself, preStop runs just before SIGTERM. If the
    pod was deleted, the time that main took to end has been taken from the grace period.

    SIGTERM usually means that main has ended. In an evicted pod, however, the sidecar gets SIGTERM after one second
    while main has two. If the sidecar ended before main, the kubelet would remove its container and lose its
    termination message. A SIGTERM in that second may also mean that main took one second to end; the two cases cannot
    be distinguished, so main is given its two seconds in both.
    """
    if not grace_seconds:
        return Deadlines(sigterm_at, inf, inf)
    began_at = sigterm_at if prestop_at is None or prestop_at < sigterm_at - grace_seconds else prestop_at
    killed_at = max(began_at + grace_seconds, sigterm_at + MIN_GRACE_SECONDS)
    remaining = killed_at - sigterm_at
    may_be_evicted = EVICTION_GRACE_SECONDS - 0.1 <= sigterm_at - began_at < MIN_GRACE_SECONDS
    main_until = began_at + MIN_GRACE_SECONDS + _KILL_SECONDS if may_be_evicted else sigterm_at
    return Deadlines(main_until, killed_at - max(0.6, min(3.0, remaining / 10)), killed_at - 0.3)

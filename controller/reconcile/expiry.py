"""Until when a PhJob's artifacts are kept, and how it is told that they are no more. Pure.

What became of a pod's artifacts was told and counted before: this changes what the PhJob shows, and counts nothing.
"""

from dataclasses import replace

from artifacts.annotation import effective_expiry, is_removal
from controller.reconcile.artifact import EXPIRED, UNKNOWN, Artifact
from controller.reconcile.documents import rfc3339
from controller.reconcile.phjob import PhJob

_KEPT = ("sealed", "incomplete", UNKNOWN)  # of the others there is nothing that could go


def kept_until(job: PhJob, artifact: Artifact | None) -> float:
    """UNIX seconds, of a job that has ended; 0: nobody says."""
    return float(effective_expiry(job.annotated_expiry, artifact.expired_at if artifact else 0, job.finished_at))


def after_expiry(job: PhJob, artifact: Artifact | None, now: float) -> Artifact | None:
    """What the PhJob shows of `artifact`, which it has told of before: that it expired, or is kept after all, as a pin
    may come while it is being removed."""
    until = kept_until(job, artifact)
    if artifact and artifact.state in _KEPT and 0 < until <= now:
        words = "removed" if is_removal(job.annotated_expiry, job.finished_at) else "kept until"
        message = f"{words} {rfc3339(until)}"
        return replace(artifact, state=EXPIRED, reason=artifact.state, message=message, expired_at=int(until))
    if artifact and artifact.state == EXPIRED and until > now:
        state = artifact.reason if artifact.reason in _KEPT else UNKNOWN
        return replace(artifact, state=state, reason="", message=f"kept until {rfc3339(until)}")
    return artifact


def look_at_expiry(job: PhJob, artifact: Artifact | None, now: float) -> float | None:
    """When that is to be looked at next; None: never, or when the PhJob changes."""
    until = kept_until(job, artifact)
    return until if artifact and artifact.state in _KEPT and until > now else None

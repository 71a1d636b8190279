"""When a PhJob's artifacts expire, and how its artifact status shows that. Pure.

The outcome of the pod was reported and counted before; expiry changes what the PhJob shows and counts nothing.
"""

from dataclasses import replace

from artifacts.annotation import effective_expiry, is_missing, is_removal, missing_message
from controller.documents import format_time
from controller.reconcile.artifact_status import EXPIRED, UNKNOWN, ArtifactStatus
from controller.reconcile.phjob import PhJob

_EXPIRING_STATES = ("sealed", "incomplete", UNKNOWN)  # in the other states there is nothing to remove


def expires_at(job: PhJob, artifact: ArtifactStatus | None) -> float:
    """Return when the artifacts of a job that has ended expire, in UNIX seconds; 0 if no expiry is known."""
    return float(effective_expiry(job.annotated_expiry, artifact.expired_at if artifact else 0, job.finished_at))


def apply_expiry(job: PhJob, artifact: ArtifactStatus | None, now: float) -> ArtifactStatus | None:
    """Return the artifact status with the state EXPIRED if the artifacts have expired or are missing in the store.

    A status that is EXPIRED returns to its previous state if the artifacts are kept after all, because a pin can
    arrive while they are being removed, and missing files can come back.
    """
    until = expires_at(job, artifact)
    if artifact and artifact.files and is_missing(job.missing_since, job.finished_at) and not 0 < until <= now:
        if artifact.state == EXPIRED:
            return artifact
        message = missing_message(artifact.files, artifact.bytes)
        return replace(artifact, state=EXPIRED, reason=artifact.state, message=message)
    if artifact and artifact.state in _EXPIRING_STATES and 0 < until <= now:
        verb = "removed at" if is_removal(job.annotated_expiry, job.finished_at) else "kept until"
        message = f"{verb} {format_time(until)}"
        return replace(artifact, state=EXPIRED, reason=artifact.state, message=message, expired_at=int(until))
    if artifact and artifact.state == EXPIRED and until > now:
        state = artifact.reason if artifact.reason in _EXPIRING_STATES else UNKNOWN
        return replace(artifact, state=state, reason="", message=f"kept until {format_time(until)}")
    return artifact


def next_expiry_check(job: PhJob, artifact: ArtifactStatus | None, now: float) -> float | None:
    """Return when to check the expiry next; None if the status can change only when the PhJob changes."""
    until = expires_at(job, artifact)
    return until if artifact and artifact.state in _EXPIRING_STATES and until > now else None

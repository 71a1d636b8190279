"""PhJob annotations about retention, and the rules that combine the annotations with the report.

The value of the expiry annotation, which the API writes, is UNIX seconds: the expiry that users decided, or, if
negative, the time at which the artifacts were removed. Anybody who can write the PhJob can write its annotations, so
they are parsed as hostile input.
"""

import re

EXPIRY_ANNOTATION = "primehub.io/artifact-expired-at"
RETENTION_ANNOTATION = "primehub.io/artifact-retention-seconds"  # written by users: the retention of this job
# Written by the API: since when (UNIX seconds) no collected file is in the store any more, although none has expired.
MISSING_ANNOTATION = "primehub.io/artifact-missing-since"

_MAX_SKEW_SECONDS = 300  # between the clocks of the cluster and of the API


def parse_expiry_annotation(text: str) -> int:
    """Return the annotation's number, or 0 if the text is not valid."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text, re.ASCII) else 0


def is_removal(annotation: int, finished_at: float | None) -> bool:
    """Whether the annotation records a removal (done or under way) of the artifacts of this job.

    A removal before the job's end is ignored: the annotation was copied from another PhJob. `finished_at` is in UNIX
    seconds, or None if unknown.
    """
    return annotation < 0 and -annotation > (finished_at or 0) - _MAX_SKEW_SECONDS


def is_missing(annotation: int, finished_at: float | None) -> bool:
    """Whether the missing annotation is about the artifacts of this job, and not copied from another PhJob."""
    return annotation > 0 and is_removal(-annotation, finished_at)


def missing_message(files: int, size: int) -> str:
    """Return the message for artifacts that are missing in the store; `files` and `size` were collected."""
    count, was, is_ = ("1 file", "was", "is") if files == 1 else (f"{files} files", "were", "are")
    return f"{count} ({size} bytes) {was} collected and {is_} no longer in the store"


def effective_expiry(annotation: int, sealed_expiry: int, finished_at: float | None) -> int:
    """Return when the artifacts of an ended job expire, or when they were removed, in UNIX seconds; 0 if unknown.

    `sealed_expiry` is the expiry that the collector reported at the seal. If it is not after the job's end, the
    collector's clock was wrong, and it is ignored. A decision made while the job ran can be earlier than
    `sealed_expiry`, so the later of the two counts.
    """
    if is_removal(annotation, finished_at):
        return -annotation
    return max(annotation, sealed_expiry if sealed_expiry > (finished_at or 0) else 0)

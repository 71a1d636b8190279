"""The PhJob annotation in which the API records when artifacts expire, and the rules that combine it with the report.

The value is UNIX seconds: the expiry that users decided, or, if negative, the time at which the artifacts were removed.
Anybody who can write the PhJob can write the annotation, so it is parsed as hostile input.
"""

import re

EXPIRY_ANNOTATION = "primehub.io/artifact-expired-at"

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


def effective_expiry(annotation: int, sealed_expiry: int, finished_at: float | None) -> int:
    """Return when the artifacts of an ended job expire, or when they were removed, in UNIX seconds; 0 if unknown.

    `sealed_expiry` is the expiry that the collector reported at the seal. A decision made while the job ran can be
    earlier than that, so the later of the two counts.
    """
    return -annotation if is_removal(annotation, finished_at) else max(annotation, sealed_expiry)

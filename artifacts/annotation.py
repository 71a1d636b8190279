"""What the API notes on a PhJob about its artifacts, and what holds beside what the collector told. Pure.

The annotation holds UNIX seconds: until when artifacts are kept as people decided; with a minus, when they were
removed. Whoever may write the PhJob may write it too, so it is read as hostile.
"""

import re

EXPIRY_ANNOTATION = "primehub.io/artifact-expired-at"

_SKEW_SECONDS = 300  # by which the clocks of the cluster and of the API may differ


def parse_expiry_annotation(text: str) -> int:
    """The number in the annotation's text; 0 where there is none."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text, re.ASCII) else 0


def is_removal(note: int, finished_at: float | None) -> bool:
    """Whether the note tells that the artifacts of a job that ended then are removed, or are being.

    They cannot have been before the job's end: such a note was copied from another PhJob. `finished_at`: UNIX seconds;
    None where nobody knows when the job ended.
    """
    return note < 0 and -note > (finished_at or 0) - _SKEW_SECONDS


def effective_expiry(note: int, told: int, finished_at: float | None) -> int:
    """Until when artifacts of a job that has ended are kept, or when they were removed; 0: nobody says.

    `told`: what the collector said at the seal. What people decided while the job ran may be sooner than that: the
    later one holds.
    """
    return -note if is_removal(note, finished_at) else max(note, told)

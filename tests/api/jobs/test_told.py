"""Until when artifacts are kept, as a PhJob tells it: its status and what was noted of decisions and removals."""

import pytest

from api.jobs.job import Job, format_time, parse_job
from artifacts.annotation import EXPIRY_ANNOTATION

END, SEALED_UNTIL = 1_700_000_000, 1_700_600_000


def told(noted: str | int, expired_at: int = SEALED_UNTIL, phase: str = "Succeeded") -> Job:
    outcome = {"state": "sealed", "files": 1, "bytes": 1, "expiredAt": expired_at}
    status = {"phase": phase, "finishTime": format_time(END), "artifact": outcome}
    return parse_job({"metadata": {"name": "a", "annotations": {EXPIRY_ANNOTATION: str(noted)}}, "status": status})


@pytest.mark.parametrize(
    ("noted", "until"),
    [
        ("", SEALED_UNTIL),
        ("soon", SEALED_UNTIL),
        (0, SEALED_UNTIL),
        (SEALED_UNTIL + 5, SEALED_UNTIL + 5),
        (SEALED_UNTIL - 5, SEALED_UNTIL),  # decided while the job ran
        (END - 5, SEALED_UNTIL),
        (-(END + 60), END + 60),  # removed
        (-(END - 60), END - 60),  # removed, by a clock that is behind
        (-(END - 3600), SEALED_UNTIL),  # the note of another PhJob, which was copied
    ],
)
def test_the_later_time_holds_unless_they_were_removed(noted: str | int, until: int) -> None:
    job = told(noted)
    assert (job.status_expiry, job.is_annotated_as_removed) == (
        until,
        str(noted).startswith("-") and until != SEALED_UNTIL,
    )


def test_nothing_of_a_running_job_was_removed() -> None:
    assert told(-(END + 60), phase="Running").status_expiry == SEALED_UNTIL


def test_nothing_told_is_nothing() -> None:
    assert told("", 0).status_expiry == 0

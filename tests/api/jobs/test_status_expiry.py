"""The expiry of artifacts according to a PhJob: its status, and the annotation of decisions and removals."""

from dataclasses import replace

import pytest

from api.jobs.job import Job, format_time, parse_job
from artifacts.annotation import EXPIRY_ANNOTATION, RETENTION_ANNOTATION

END, SEALED_EXPIRY = 1_700_000_000, 1_700_600_000


def ended_job(annotation: str | int, expired_at: int = SEALED_EXPIRY, phase: str = "Succeeded") -> Job:
    """A PhJob with this expiry annotation and this expiry in its status."""
    artifact = {"state": "sealed", "files": 1, "bytes": 1, "expiredAt": expired_at}
    status = {"phase": phase, "finishTime": format_time(END), "artifact": artifact}
    return parse_job({"metadata": {"name": "a", "annotations": {EXPIRY_ANNOTATION: str(annotation)}}, "status": status})


@pytest.mark.parametrize(
    ("annotation", "expiry"),
    [
        ("", SEALED_EXPIRY),
        ("soon", SEALED_EXPIRY),
        (0, SEALED_EXPIRY),
        (SEALED_EXPIRY + 5, SEALED_EXPIRY + 5),
        (SEALED_EXPIRY - 5, SEALED_EXPIRY),  # decided while the job ran
        (END - 5, SEALED_EXPIRY),
        (-(END + 60), END + 60),  # removed
        (-(END - 60), END - 60),  # removed, according to a clock that is slow
        (-(END - 3600), SEALED_EXPIRY),  # copied from another PhJob
    ],
)
def test_later_expiry_wins_unless_artifacts_were_removed(annotation: str | int, expiry: int) -> None:
    job = ended_job(annotation)
    is_removed = str(annotation).startswith("-") and expiry != SEALED_EXPIRY
    assert (job.status_expiry, job.is_annotated_as_removed) == (expiry, is_removed)


def test_removal_annotation_of_a_running_job_is_ignored() -> None:
    assert ended_job(-(END + 60), phase="Running").status_expiry == SEALED_EXPIRY


def test_unknown_expiry_is_zero() -> None:
    job = ended_job("", 0)
    assert job.status_expiry == 0
    assert not job.has_status_expired(END * 2)


@pytest.mark.parametrize(("now", "has_expired"), [(SEALED_EXPIRY - 1, False), (SEALED_EXPIRY, True)])
def test_status_expires_at_its_expiry(now: float, has_expired: bool) -> None:
    assert ended_job("").has_status_expired(now) is has_expired


@pytest.mark.parametrize("expired_at", [END - 100, END])
def test_an_expiry_before_the_end_comes_from_a_wrong_clock(expired_at: int) -> None:
    assert ended_job("", expired_at).status_expiry == 0
    assert ended_job(END + 5, expired_at).status_expiry == END + 5


@pytest.mark.parametrize(("created_at", "finished_at"), [(END - 5, END), (END + 300, END), (END + 301, None)])
def test_an_end_before_the_creation_comes_from_a_wrong_clock(created_at: int, finished_at: int | None) -> None:
    assert replace(ended_job(""), create_time=format_time(created_at)).finished_at == finished_at


@pytest.mark.parametrize(
    ("annotation", "seconds"),
    [("3600", 3600), (" 3600 ", 3600), ("0", None), ("-5", None), ("1e9", None), ("9" * 30, None), ("", None)],
)
def test_the_requested_retention_is_read_as_by_the_webhook(annotation: str, seconds: int | None) -> None:
    metadata = {"name": "a", "annotations": {RETENTION_ANNOTATION: annotation}}
    assert parse_job({"metadata": metadata}).retention_seconds == seconds

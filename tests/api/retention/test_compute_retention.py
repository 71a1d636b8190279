"""The computed retention: a table of cases, and properties that hold for any evidence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.retention.expiry import (
    MAX_CLOCK_SKEW_SECONDS,
    Evidence,
    RetentionPolicy,
    compute_retention,
    max_expiry,
    newest_trusted,
    retention_seconds,
    trusted_finish,
)
from api.retention.record import FOREVER, Extension, Pin, Record

NOW = 1_700_000_000.0
DAY = 86400
POLICY = RetentionPolicy(default_seconds=7 * DAY, max_seconds=365 * DAY)
PAST, FUTURE = NOW - DAY, NOW + DAY
END = NOW - 3 * DAY
LONG_AGO = NOW - 9 * DAY  # an end whose default retention is over
DEFAULT = POLICY.default_seconds


def extended(until: float) -> Record:
    return Record(extension=Extension(int(until), "alice", 1))


PINNED = Record(pin=Pin("alice", 1))

# evidence, and when the artifacts expire
CASES = {
    "both files past": (Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, PAST)), PAST),
    "both files in the future": (Evidence(finished_at=LONG_AGO, expiry_claims=(FUTURE, FUTURE)), FUTURE),
    "one in the future wins": (Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, FUTURE)), FUTURE),
    "only PrimeHub's file": (Evidence(finished_at=LONG_AGO, expiry_claims=(None, PAST)), PAST),
    "only our file": (Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, None)), PAST),
    "no file: newest file": (
        Evidence(finished_at=END, expiry_claims=(None, None), newest_file_at=NOW - DAY),
        NOW - DAY + DEFAULT,
    ),
    "no expiry file and no other file": (Evidence(finished_at=END, expiry_claims=(None, None)), END + DEFAULT),
    "no expiry file, end unknown: newest file": (
        Evidence(expiry_claims=(None, None), newest_file_at=NOW - DAY, first_seen_at=NOW - 2 * DAY),
        NOW - DAY + DEFAULT,
    ),
    "no expiry file, end unknown, files with old times: first seen": (
        Evidence(expiry_claims=(None, None), newest_file_at=1000.0, first_seen_at=NOW - 2 * DAY),
        NOW - 2 * DAY + DEFAULT,
    ),
    "no expiry file, end unknown, never seen: now": (
        Evidence(expiry_claims=(None, None), newest_file_at=1000.0),
        NOW + DEFAULT,
    ),
    "first-seen time in the future: now": (
        Evidence(expiry_claims=(None, None), first_seen_at=NOW + 999 * DAY),
        NOW + DEFAULT,
    ),
    "for ever: bounded from the end": (
        Evidence(finished_at=END, expiry_claims=(FOREVER, FOREVER)),
        END + POLICY.max_seconds,
    ),
    "for ever, end unknown: bounded from the newest file": (
        Evidence(expiry_claims=(FOREVER, None), newest_file_at=NOW - DAY, first_seen_at=NOW - 2 * DAY),
        NOW - DAY + POLICY.max_seconds,
    ),
    "for ever, end unknown, old: expired": (
        Evidence(expiry_claims=(FOREVER, None), newest_file_at=NOW - 500 * DAY, first_seen_at=NOW - 400 * DAY),
        NOW - 35 * DAY,
    ),
    "end in the future is ignored: first seen": (
        Evidence(finished_at=NOW + 999 * DAY, expiry_claims=(None, None), first_seen_at=NOW - DAY),
        NOW - DAY + DEFAULT,
    ),
    "extended past both files": (
        Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, PAST), record=extended(FUTURE)),
        float(int(FUTURE)),
    ),
    "extension over, a file in the future": (
        Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, FUTURE), record=extended(PAST)),
        FUTURE,
    ),
    "extension over, files gone": (Evidence(finished_at=END, expiry_claims=(None, None), record=extended(PAST)), PAST),
    "extension beyond the maximum is kept": (
        Evidence(finished_at=END, expiry_claims=(PAST, PAST), record=extended(NOW + 999 * DAY)),
        NOW + 999 * DAY,
    ),
    "a pin's time in the files after unpin": (
        Evidence(finished_at=END, expiry_claims=(float(FOREVER), float(FOREVER)), record=extended(FUTURE)),
        FUTURE,
    ),
    "extended to an earlier time while the job ran, no files": (
        Evidence(
            finished_at=END,
            expiry_claims=(None, None),
            record=Record(extension=Extension(int(PAST), "alice", 1, early=True)),
        ),
        END + DEFAULT,
    ),
    "its removal has started": (Evidence(finished_at=END, expiry_claims=(FUTURE, FUTURE), is_removing=True), NOW),
    "its removal has started, but extended": (
        Evidence(finished_at=LONG_AGO, expiry_claims=(PAST, PAST), record=extended(FUTURE), is_removing=True),
        float(int(FUTURE)),
    ),
    "its removal has started, but pinned": (
        Evidence(finished_at=END, expiry_claims=(PAST, PAST), record=PINNED, is_removing=True),
        None,
    ),
    "pinned": (Evidence(finished_at=END, expiry_claims=(PAST, PAST), record=PINNED), None),
    "running": (Evidence(is_running=True, expiry_claims=(PAST, PAST)), None),
    "record unreadable": (
        Evidence(finished_at=END, expiry_claims=(PAST, PAST), record_error="it is not valid JSON"),
        None,
    ),
    "clock behind by more than the retention: both files before main's end": (
        Evidence(finished_at=END, expiry_claims=(END - DAY, END - DAY)),
        END + DEFAULT,
    ),
    "clock behind by less than the retention": (
        Evidence(finished_at=END, expiry_claims=(END + DAY, None)),
        END + DEFAULT,
    ),
    "clock behind, so the status has the wrong expiry too": (
        Evidence(finished_at=END, expiry_claims=(END - DAY, END - DAY), recorded_expiry=END - DAY),
        END + DEFAULT,
    ),
    "clock behind, longer retention": (
        Evidence(finished_at=END, expiry_claims=(END - DAY, END - DAY), retention_seconds=30 * DAY),
        END + 30 * DAY,
    ),
    "clock behind, retention beyond the maximum": (
        Evidence(finished_at=END, expiry_claims=(END - DAY, END - DAY), retention_seconds=999 * DAY),
        END + POLICY.max_seconds,
    ),
    "shorter retention by annotation": (
        Evidence(finished_at=END, expiry_claims=(END + DAY, END + DAY), retention_seconds=DAY),
        END + DAY,
    ),
    "shorter retention by annotation, clock behind": (
        Evidence(finished_at=END, expiry_claims=(END - DAY, END - DAY), retention_seconds=DAY),
        END + DAY,
    ),
    "shorter retention in the pod, known from the status": (
        Evidence(finished_at=END, expiry_claims=(END + DAY, END + DAY), recorded_expiry=END + DAY),
        END + DAY,
    ),
    "the status knows a later expiry than the files": (
        Evidence(finished_at=END, expiry_claims=(END + DAY, END + DAY), recorded_expiry=END + 30 * DAY),
        END + DEFAULT,
    ),
    "end unknown, expired before the report was written: newest file": (
        Evidence(expiry_claims=(PAST, PAST), report_at=NOW - 60, newest_file_at=NOW - 60, first_seen_at=NOW - 2 * DAY),
        NOW - 60 + DEFAULT,
    ),
    "end unknown, expired after the report was written": (
        Evidence(expiry_claims=(PAST, PAST), report_at=PAST - 60, newest_file_at=PAST - 60),
        PAST,
    ),
    "end unknown, report from the future is ignored": (
        Evidence(expiry_claims=(PAST, PAST), report_at=NOW + DAY),
        PAST,
    ),
    "no expiry file, later expiry in the status": (
        Evidence(finished_at=END, expiry_claims=(None, None), recorded_expiry=END + 30 * DAY),
        END + 30 * DAY,
    ),
    "no expiry file, expiry in the status beyond the maximum": (
        Evidence(finished_at=END, expiry_claims=(None, None), recorded_expiry=END + 999 * DAY),
        END + DEFAULT,
    ),
    "no expiry file, retention by annotation": (
        Evidence(finished_at=END, expiry_claims=(None, None), newest_file_at=END - 60, retention_seconds=30 * DAY),
        END + 30 * DAY,
    ),
    "nothing there, job gone": (Evidence(expiry_claims=(None, None), exists=False), None),
}


@pytest.mark.parametrize(("evidence", "expires_at"), CASES.values(), ids=CASES.keys())
def test_each_case_has_the_documented_expiry(evidence: Evidence, expires_at: float | None) -> None:
    retention = compute_retention(evidence, NOW, POLICY)
    assert retention.expires_at == expires_at
    assert retention.reason
    assert retention.has_expired(NOW) == (expires_at is not None and expires_at <= NOW)


def test_a_pinned_retention_has_user_time_and_note() -> None:
    retention = compute_retention(Evidence(record=Record(pin=Pin("alice", 1000, "for the paper"))), NOW, POLICY)
    assert (retention.is_pinned, retention.pinned_by, retention.pinned_at, retention.note) == (
        True,
        "alice",
        1000,
        "for the paper",
    )


def test_file_times_in_the_future_are_ignored() -> None:
    newest = None
    for changed in (NOW + 999 * DAY, NOW - 5, NOW - 9, NOW + MAX_CLOCK_SKEW_SECONDS + 1):
        newest = newest_trusted(changed, newest, NOW)
    assert newest == NOW - 5


moments = st.floats(946684800.0, float(FOREVER)) | st.floats(NOW - 800 * DAY, NOW + 800 * DAY)
claims = st.tuples(st.none() | moments, st.none() | moments)
records = st.builds(
    Record,
    st.none() | st.builds(Pin, st.text(max_size=3), st.integers(0, FOREVER)),
    st.none()
    | st.builds(Extension, st.integers(0, FOREVER), st.text(max_size=3), st.integers(0, FOREVER), st.booleans()),
)
evidences = st.builds(
    Evidence,
    is_running=st.booleans(),
    finished_at=st.none() | moments,
    record=records,
    record_error=st.sampled_from(["", "", "", "it is not valid JSON"]),
    expiry_claims=claims,
    newest_file_at=st.none() | st.floats(0, NOW + MAX_CLOCK_SKEW_SECONDS),
    first_seen_at=st.none() | moments,
    report_at=st.none() | moments,
    retention_seconds=st.none() | st.integers(1, 800 * DAY),
    recorded_expiry=st.none() | moments,
    exists=st.booleans(),
)


@given(evidences)
def test_pinned_running_or_unreadable_jobs_never_expire(evidence: Evidence) -> None:
    retention = compute_retention(evidence, NOW, POLICY)
    if evidence.record.pin or evidence.is_running or evidence.record_error:
        assert not retention.has_expired(NOW)


@given(evidences)
def test_artifacts_do_not_expire_before_an_extension(evidence: Evidence) -> None:
    retention = compute_retention(evidence, NOW, POLICY)
    if retention.expires_at is not None and evidence.record.extended_until is not None:
        assert retention.expires_at >= evidence.record.extended_until


@given(evidences)
def test_expired_artifacts_are_expired_by_every_claim(evidence: Evidence) -> None:
    if compute_retention(evidence, NOW, POLICY).has_expired(NOW):
        limit = max_expiry(evidence, NOW, POLICY)
        is_extended = evidence.record.extended_until is not None
        for at in evidence.expiry_claims:
            assert at is None or min(at, limit) <= NOW or (is_extended and at >= FOREVER)


@given(evidences)
def test_no_file_makes_artifacts_expire_before_the_retention_is_over(evidence: Evidence) -> None:
    retention = compute_retention(replace(evidence, is_removing=False), NOW, POLICY)
    finished_at = trusted_finish(evidence, NOW)
    if retention.expires_at is None or finished_at is None or evidence.record.replaces_default:
        return
    recorded = evidence.recorded_expiry
    is_shorter = recorded is not None and recorded > finished_at
    requested = finished_at + retention_seconds(evidence, POLICY)
    assert retention.expires_at >= (min(requested, recorded) if is_shorter and recorded else requested)


@given(evidences)
def test_only_a_decision_keeps_artifacts_beyond_the_maximum(evidence: Evidence) -> None:
    evidence = replace(evidence, is_running=False, record=Record(), record_error="", exists=True)
    retention = compute_retention(evidence, NOW, POLICY)
    assert retention.expires_at is not None
    assert retention.expires_at <= NOW + MAX_CLOCK_SKEW_SECONDS + POLICY.max_seconds


@given(evidences)
def test_missing_expiry_files_give_the_jobs_retention(evidence: Evidence) -> None:
    evidence = replace(
        evidence,
        is_running=False,
        record=Record(),
        record_error="",
        expiry_claims=(None, None),
        finished_at=None,
        exists=True,
    )
    retention = compute_retention(replace(evidence, first_seen_at=None, recorded_expiry=None), NOW, POLICY)
    expected = NOW + retention_seconds(evidence, POLICY)
    assert retention.expires_at is not None
    assert expected <= retention.expires_at <= expected + MAX_CLOCK_SKEW_SECONDS

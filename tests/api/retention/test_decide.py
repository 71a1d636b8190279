"""The decision: by a table of cases, then by what holds for any evidence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.retention.expiry import MAX_CLOCK_SKEW_SECONDS, Evidence, compute_retention, max_expiry, newest_trusted
from api.retention.record import FOREVER, Extension, Pin, Record
from tests.api.retention.evidence import DAY, NOW, RULES

PAST, FUTURE = NOW - DAY, NOW + DAY
END = NOW - 3 * DAY
BY_DEFAULT = RULES.retention


def extended(until: float) -> Record:
    return Record(extension=Extension(int(until), "alice", 1))


PINNED = Record(pin=Pin("alice", 1))

# evidence, and when the artifacts expire
CASES = {
    "both files past": (Evidence(end=END, said=(PAST, PAST)), PAST),
    "both files to come": (Evidence(end=END, said=(FUTURE, FUTURE)), FUTURE),
    "one to come holds": (Evidence(end=END, said=(PAST, FUTURE)), FUTURE),
    "PrimeHub's alone": (Evidence(end=END, said=(None, PAST)), PAST),
    "ours alone": (Evidence(end=END, said=(PAST, None)), PAST),
    "neither: newest file": (Evidence(end=END, said=(None, None), newest=NOW - DAY), NOW - DAY + BY_DEFAULT),
    "neither, no files": (Evidence(end=END, said=(None, None)), END + BY_DEFAULT),
    "neither, no end: newest file": (
        Evidence(said=(None, None), newest=NOW - DAY, first_seen=NOW - 2 * DAY),
        NOW - DAY + BY_DEFAULT,
    ),
    "neither, no end, files with old times: first seen": (
        Evidence(said=(None, None), newest=1000.0, first_seen=NOW - 2 * DAY),
        NOW - 2 * DAY + BY_DEFAULT,
    ),
    "neither, no end, never seen: now": (Evidence(said=(None, None), newest=1000.0), NOW + BY_DEFAULT),
    "first seen by a clock that was ahead: now": (
        Evidence(said=(None, None), first_seen=NOW + 999 * DAY),
        NOW + BY_DEFAULT,
    ),
    "for ever: bounded from the end": (Evidence(end=END, said=(FOREVER, FOREVER)), END + RULES.maximum),
    "for ever, no end: bounded from the newest file": (
        Evidence(said=(FOREVER, None), newest=NOW - DAY, first_seen=NOW - 2 * DAY),
        NOW - DAY + RULES.maximum,
    ),
    "for ever, no end, old: over": (
        Evidence(said=(FOREVER, None), newest=NOW - 500 * DAY, first_seen=NOW - 400 * DAY),
        NOW - 35 * DAY,
    ),
    "an end to come is none: first seen": (
        Evidence(end=NOW + 999 * DAY, said=(None, None), first_seen=NOW - DAY),
        NOW - DAY + BY_DEFAULT,
    ),
    "extended past both files": (Evidence(end=END, said=(PAST, PAST), record=extended(FUTURE)), float(int(FUTURE))),
    "extension over, a file to come": (Evidence(end=END, said=(PAST, FUTURE), record=extended(PAST)), FUTURE),
    "extension over, files gone": (Evidence(end=END, said=(None, None), record=extended(PAST)), PAST),
    "extension beyond the max_expiry is a promise": (
        Evidence(end=END, said=(PAST, PAST), record=extended(NOW + 999 * DAY)),
        NOW + 999 * DAY,
    ),
    "a pin's mark in the files after the pin": (
        Evidence(end=END, said=(float(FOREVER), float(FOREVER)), record=extended(FUTURE)),
        FUTURE,
    ),
    "extended to a sooner time while it ran, no files": (
        Evidence(end=END, said=(None, None), record=Record(extension=Extension(int(PAST), "alice", 1, early=True))),
        END + BY_DEFAULT,
    ),
    "its removal has begun": (Evidence(end=END, said=(FUTURE, FUTURE), removing=True), NOW),
    "its removal has begun, but extended": (
        Evidence(end=END, said=(PAST, PAST), record=extended(FUTURE), removing=True),
        float(int(FUTURE)),
    ),
    "its removal has begun, but pinned": (Evidence(end=END, said=(PAST, PAST), record=PINNED, removing=True), None),
    "pinned": (Evidence(end=END, said=(PAST, PAST), record=PINNED), None),
    "running": (Evidence(running=True, said=(PAST, PAST)), None),
    "record unreadable": (Evidence(end=END, said=(PAST, PAST), record_problem="it is no JSON"), None),
    "nothing there, job gone": (Evidence(said=(None, None), exists=False), None),
}


@pytest.mark.parametrize(("evidence", "expires_at"), CASES.values(), ids=CASES.keys())
def test_each_case_is_decided_by_a_stated_rule(evidence: Evidence, expires_at: float | None) -> None:
    term = compute_retention(evidence, NOW, RULES)
    assert term.expires_at == expires_at
    assert term.why
    assert term.has_expired(NOW) == (expires_at is not None and expires_at <= NOW)


def test_a_pin_tells_who_when_and_why() -> None:
    term = compute_retention(Evidence(record=Record(pin=Pin("alice", 1000, "for the paper"))), NOW, RULES)
    assert (term.pinned, term.pinned_by, term.pinned_at, term.note) == (True, "alice", 1000, "for the paper")


def test_files_with_times_to_come_do_not_count() -> None:
    newest = None
    for changed in (NOW + 999 * DAY, NOW - 5, NOW - 9, NOW + MAX_CLOCK_SKEW_SECONDS + 1):
        newest = newest_trusted(changed, newest, NOW)
    assert newest == NOW - 5


moments = st.floats(946684800.0, float(FOREVER)) | st.floats(NOW - 800 * DAY, NOW + 800 * DAY)
said = st.tuples(st.none() | moments, st.none() | moments)
records = st.builds(
    Record,
    st.none() | st.builds(Pin, st.text(max_size=3), st.integers(0, FOREVER)),
    st.none()
    | st.builds(Extension, st.integers(0, FOREVER), st.text(max_size=3), st.integers(0, FOREVER), st.booleans()),
)
evidences = st.builds(
    Evidence,
    running=st.booleans(),
    end=st.none() | moments,
    record=records,
    record_problem=st.sampled_from(["", "", "", "it is no JSON"]),
    said=said,
    newest=st.none() | st.floats(0, NOW + MAX_CLOCK_SKEW_SECONDS),
    first_seen=st.none() | moments,
    exists=st.booleans(),
)


@given(evidences)
def test_what_is_pinned_runs_or_cannot_be_told_never_expires(evidence: Evidence) -> None:
    term = compute_retention(evidence, NOW, RULES)
    if evidence.record.pin or evidence.running or evidence.record_problem:
        assert not term.has_expired(NOW)


@given(evidences)
def test_nothing_expires_before_what_people_decided(evidence: Evidence) -> None:
    term = compute_retention(evidence, NOW, RULES)
    if term.expires_at is not None and evidence.record.until is not None:
        assert term.expires_at >= evidence.record.until


@given(evidences)
def test_what_has_expired_is_over_by_all_that_speaks(evidence: Evidence) -> None:
    if compute_retention(evidence, NOW, RULES).has_expired(NOW):
        most = max_expiry(evidence, NOW, RULES)
        decided = evidence.record.until is not None
        for at in evidence.said:
            assert at is None or min(at, most) <= NOW or (decided and at >= FOREVER)


@given(evidences)
def test_nothing_but_a_decision_keeps_beyond_the_bound(evidence: Evidence) -> None:
    evidence = replace(evidence, running=False, record=Record(), record_problem="", exists=True)
    term = compute_retention(evidence, NOW, RULES)
    assert term.expires_at is not None
    assert term.expires_at <= NOW + MAX_CLOCK_SKEW_SECONDS + RULES.maximum


@given(evidences)
def test_silence_means_neither_now_nor_for_ever(evidence: Evidence) -> None:
    evidence = replace(
        evidence, running=False, record=Record(), record_problem="", said=(None, None), end=None, exists=True
    )
    term = compute_retention(replace(evidence, first_seen=None), NOW, RULES)
    assert term.expires_at is not None
    assert NOW + RULES.retention <= term.expires_at <= NOW + RULES.retention + MAX_CLOCK_SKEW_SECONDS

"""The record of decisions: read back as written; where it cannot be told what was decided, nothing is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.retention.record import (
    FOREVER,
    MAX_BYTES,
    MAX_NAME,
    MAX_NOTE,
    Extension,
    Pin,
    Record,
    format_record,
    parse_record,
    record_key,
    sighting_key,
)
from artifacts.errors import InvalidDocument

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
seconds = st.integers(0, FOREVER)
records = st.builds(
    Record,
    st.none() | st.builds(Pin, texts, seconds, texts),
    st.none() | st.builds(Extension, seconds, texts, seconds),
)


@given(records)
def test_a_record_is_read_back_as_written(record: Record) -> None:
    assert parse_record(format_record(record)) == record


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"version": 2}',
        b'{"version": 1, "pin": true}',
        b'{"version": 1, "pin": []}',
        b'{"version": 1, "extension": 5}',
        b'{"version": 1, "extension": {}}',
        b'{"version": 1, "extension": {"until": "tomorrow"}}',
        b'{"version": 1, "extension": {"until": NaN}}',
        b'{"version": 1, "extension": {"until": -1}}',
        b"[" * 100_000,
    ],
)
def test_a_record_that_does_not_tell_what_was_decided_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidDocument):
        parse_record(content)


def test_missing_words_and_unknown_fields_do_no_harm() -> None:
    record = parse_record(b'{"version": 1, "pin": {"by": 7}, "extension": {"until": 9, "x": 1}, "more": []}')
    assert record == Record(Pin("", 0), Extension(9, "", 0))


def test_the_longest_record_is_short_enough_to_be_read() -> None:
    worst = "\x00" * MAX_NOTE
    name = "\x00" * MAX_NAME
    record = Record(Pin(name, FOREVER, worst), Extension(FOREVER, name, FOREVER))
    assert len(format_record(record)) < MAX_BYTES
    assert json.loads(format_record(record))["pin"]["note"] == worst


def test_records_lie_outside_what_jobs_can_write_to() -> None:
    assert record_key("Team_A", "job-1") == "phjob-artifacts/retention/team-a/job-1"
    assert sighting_key("Team_A", "job-1") == "phjob-artifacts/first-seen/team-a/job-1"
    assert len(record_key("a", "j" * 253).rsplit("/", 1)[1]) <= 255

"""The record of decisions: read back as written; where it cannot be told what was decided, nothing is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.retention.record import (
    FOREVER,
    MAX_NAME_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    MAX_RECORD_BYTES,
    Extension,
    Pin,
    extension_key,
    first_seen_key,
    format_decision,
    parse_extension,
    parse_pin,
    pin_key,
    removal_key,
)
from artifacts.errors import InvalidDocument

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
seconds = st.integers(0, FOREVER)


@given(st.builds(Pin, texts, seconds, texts, seconds))
def test_a_pin_is_read_back_as_written(pin: Pin) -> None:
    assert parse_pin(format_decision(pin)) == pin


@given(st.builds(Extension, seconds, texts, seconds, st.booleans()))
def test_an_extension_is_read_back_as_written(extension: Extension) -> None:
    assert parse_extension(format_decision(extension)) == extension


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"version": 2}', b"[" * 100_000])
def test_what_does_not_tell_that_it_was_decided_is_refused(content: bytes) -> None:
    for parse in (parse_pin, parse_extension):
        with pytest.raises(InvalidDocument):
            parse(content)


@pytest.mark.parametrize("fields", ["", ', "until": "tomorrow"', ', "until": NaN', ', "until": -1'])
def test_an_extension_without_an_end_is_refused(fields: str) -> None:
    with pytest.raises(InvalidDocument, match="until is no time"):
        parse_extension(b'{"version": 1%s}' % fields.encode())


def test_missing_words_and_unknown_fields_do_no_harm() -> None:
    assert parse_pin(b'{"version": 1, "by": 7, "until": "x", "more": []}') == Pin("", 0)
    assert parse_extension(b'{"version": 1, "until": 9, "early": 1, "x": 1}') == Extension(9, "", 0)


def test_the_longest_pin_is_short_enough_to_be_read() -> None:
    worst = Pin("\x00" * MAX_NAME_CHARACTERS, FOREVER, "\x00" * MAX_NOTE_CHARACTERS, FOREVER)
    assert len(format_decision(worst)) < MAX_RECORD_BYTES
    assert json.loads(format_decision(worst))["note"] == worst.note


def test_records_lie_outside_what_jobs_can_write_to() -> None:
    assert pin_key("Team_A", "job-1") == "phjob-artifacts/pins/team-a/job-1"
    assert extension_key("Team_A", "job-1") == "phjob-artifacts/extensions/team-a/job-1"
    assert removal_key("Team_A", "job-1") == "phjob-artifacts/removals/team-a/job-1"
    assert first_seen_key("Team_A", "job-1") == "phjob-artifacts/first-seen/team-a/job-1"
    assert len(pin_key("a", "j" * 253).rsplit("/", 1)[1]) <= 255

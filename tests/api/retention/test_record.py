"""The record of decisions: formatting and parsing, and the errors for invalid records."""

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
def test_a_formatted_pin_is_parsed_back(pin: Pin) -> None:
    assert parse_pin(format_decision(pin)) == pin


@given(st.builds(Extension, seconds, texts, seconds, st.booleans()))
def test_a_formatted_extension_is_parsed_back(extension: Extension) -> None:
    assert parse_extension(format_decision(extension)) == extension


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"version": 2}', b"[" * 100_000])
def test_invalid_objects_raise_invalid_document(content: bytes) -> None:
    for parse in (parse_pin, parse_extension):
        with pytest.raises(InvalidDocument):
            parse(content)


@pytest.mark.parametrize("fields", ["", ', "until": "tomorrow"', ', "until": NaN', ', "until": -1'])
def test_an_extension_without_a_valid_until_raises(fields: str) -> None:
    with pytest.raises(InvalidDocument, match="`until` must be a UNIX time"):
        parse_extension(b'{"version": 1%s}' % fields.encode())


def test_missing_and_unknown_fields_are_ignored() -> None:
    assert parse_pin(b'{"version": 1, "by": 7, "until": "x", "more": []}') == Pin("", 0)
    assert parse_extension(b'{"version": 1, "until": 9, "early": 1, "x": 1}') == Extension(9, "", 0)


def test_the_longest_pin_fits_the_maximum_size() -> None:
    worst = Pin("\x00" * MAX_NAME_CHARACTERS, FOREVER, "\x00" * MAX_NOTE_CHARACTERS, FOREVER)
    assert len(format_decision(worst)) < MAX_RECORD_BYTES
    assert json.loads(format_decision(worst))["note"] == worst.note


def test_record_keys_are_outside_groups() -> None:
    assert pin_key("Team_A", "job-1") == "phjob-artifacts/pins/team-a/job-1"
    assert extension_key("Team_A", "job-1") == "phjob-artifacts/extensions/team-a/job-1"
    assert removal_key("Team_A", "job-1") == "phjob-artifacts/removals/team-a/job-1"
    assert first_seen_key("Team_A", "job-1") == "phjob-artifacts/first-seen/team-a/job-1"
    assert len(pin_key("a", "j" * 253).rsplit("/", 1)[1]) <= 255

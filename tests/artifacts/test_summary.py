"""The termination summary: always short and complete JSON, and parsed as hostile input."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import InvalidDocument
from artifacts.report import REASONS, STATES, Count, Report, Skipped, read_text
from artifacts.summary import MAX_BYTES, format_summary, read_summary, shorten
from tests.artifacts.documents import ANY_JSON, ANY_TEXT, NESTED, NO_JSON, near

OFTEN = settings(deadline=None, max_examples=200)
NUMBER = st.integers(0, 2**63 - 1)
SKIPPED = {reason: Skipped(2**62, 2**62, ["x" * 1000], "why" * 1000) for reason in REASONS}
SEALED = Report(
    "job-1",
    "sealed",
    "3 files (1.2 MB) in the store",
    pod_uid="uid-1",
    sealed_at=5.0,
    expired_at=604805,
    found=Count(5, 50),
    collected=Count(2, 20),
    in_place=Count(1, 10),
    skipped={"excluded": Skipped(2, 20), "unreadable": Skipped()},
)
READ = {
    "state": "sealed",
    "sealed": True,
    "files": 3,
    "bytes": 30,
    "foundFiles": 5,
    "foundBytes": 50,
    "expiredAt": 604805,
    "skipped": {"excluded": 2},
    "skippedBytes": {"excluded": 20},
    "limitExceeded": False,
    "message": "3 files (1.2 MB) in the store",
}


def test_written_summary_is_parsed_back() -> None:
    assert read_summary(format_summary(SEALED)) == READ


def test_progress_and_lag_are_included_if_given() -> None:
    content = format_summary(SEALED, Count(7, 70), 1.23456)
    assert read_summary(content) == READ | {"todoFiles": 7, "todoBytes": 70, "lagSeconds": 1.235}


def test_summary_names_job_and_pod() -> None:
    document = json.loads(format_summary(SEALED))
    assert (document["job"], document["podUid"]) == ("job-1", "uid-1")


@OFTEN
@given(
    st.builds(
        Report,
        job=st.text(max_size=400) | ANY_TEXT,
        state=st.sampled_from(sorted(STATES)),
        message=ANY_TEXT | st.text(min_size=1000) | st.just("\U0001f600" * 5000) | st.just('"' * 3000),
        pod_uid=ANY_TEXT,
        found=st.builds(Count, NUMBER, NUMBER),
        skipped=st.just(SKIPPED) | st.just({}),
    ),
    st.none() | st.builds(Count, NUMBER, NUMBER),
    st.none() | st.floats(0, 2**30),
)
def test_summary_of_any_report_is_short_and_complete_json(
    report: Report, todo: Count | None, lag_seconds: float | None
) -> None:
    content = format_summary(report, todo, lag_seconds)
    assert len(content) <= MAX_BYTES
    assert json.loads(content.decode())["state"] == report.state
    fields = read_summary(content)
    assert fields["foundFiles"] == report.found.files
    assert fields.get("todoFiles") == (todo.files if todo else None)


@pytest.mark.parametrize("character", ["x", '"', "é", "漢", "\U0001f600"])
def test_long_message_is_shortened_before_other_fields_are_removed(character: str) -> None:
    report = Report("j" * 253, "incomplete", f"12 of 13 files: {character * 20_000}", pod_uid="u" * 64, skipped=SKIPPED)
    document = json.loads(format_summary(report, Count(2**62, 2**62), 1e6))
    assert document["job"] == "j" * 253
    assert document["podUid"] == "u" * 64
    assert document["todoBytes"] == 2**62
    assert document["message"].startswith(f"12 of 13 files: {character * 100}")


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(ANY_TEXT, ANY_JSON | st.text(min_size=500, max_size=3000), max_size=8))
def test_last_fields_are_removed_first(document: dict[str, Any]) -> None:
    content = shorten(document)
    assert len(content) <= MAX_BYTES
    assert list(json.loads(content)) == [read_text(name) for name in document][: len(json.loads(content))]


@pytest.mark.parametrize(
    "content",
    [*NO_JSON, *NESTED, b"[]", b"null", b"{}", b"Error: exit 1", b'{"version":2,"state":"sealed"}']
    + [b'{"version":1,"state":%s}' % state for state in (b'"x"', b"null", b"[]", b"{}", b'["sealed"]')]
    + [b'{"version":1,"state":"sealed"}' + b" " * 2 * MAX_BYTES],
)
def test_invalid_summary_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read_summary(content)


def test_padded_summary_is_parsed() -> None:
    assert read_summary(format_summary(SEALED).ljust(MAX_BYTES)) == READ


def test_invalid_fields_are_omitted() -> None:
    document = json.loads(format_summary(SEALED)) | {
        "files": -1,
        "bytes": "30",
        "foundFiles": 1.5,
        "foundBytes": True,
        "expiredAt": 2**63,
        "lagSeconds": float("nan"),
        "sealed": 1,
        "message": ["x"],
        "skipped": {"excluded": -2, "unreadable": 1, "later": 3},
        "skippedBytes": {"excluded": "2", "unreadable": 7, "later": 3},
        "later": 1,
    }
    assert read_summary(json.dumps(document).encode()) == {
        "state": "sealed",
        "sealed": False,
        "limitExceeded": False,
        "skipped": {"unreadable": 1},
        "skippedBytes": {"unreadable": 7},
        "message": "",
    }


@OFTEN
@given(st.binary(max_size=40) | near(json.loads(format_summary(SEALED, Count(), 1.0))))
def test_any_content_is_parsed_or_refused(content: bytes) -> None:
    try:
        fields = read_summary(content)
    except InvalidDocument:
        return
    json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    assert fields["state"] in STATES
    assert len(fields["message"]) <= 512
    assert set(fields.get("skipped", {})) <= set(REASONS)

"""The report: every written report is parsed back, and hostile content does no harm."""

import dataclasses
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import InvalidDocument
from artifacts.report import (
    MAX_BYTES,
    MAX_PATHS,
    REASONS,
    STATES,
    Count,
    Report,
    Skipped,
    format_report,
    read_report,
)
from tests.artifacts.documents import ANY_TEXT, NESTED, NO_JSON, near

OFTEN = settings(deadline=None, max_examples=200)
NUMBER = st.integers(0, 2**63 - 1)
COUNT = st.builds(Count, NUMBER, NUMBER)
PATHS = st.lists(st.text(max_size=20), max_size=3)
SKIPPED = st.builds(Skipped, st.integers(1, 2**63 - 1), NUMBER, PATHS, st.text(max_size=20))
WHOLE_SECONDS = st.integers(0, 253402300799).map(float)
REPORT = st.builds(
    Report,
    job=st.text(max_size=60),
    state=st.sampled_from(sorted(STATES)),
    message=st.text(max_size=60),
    group=st.text(max_size=60),
    pod_uid=st.text(max_size=60),
    version=st.text(max_size=20),
    started_at=WHOLE_SECONDS,
    updated_at=WHOLE_SECONDS,
    sealed_at=WHOLE_SECONDS,
    expired_at=NUMBER,
    duration_seconds=st.integers(0, 10**6).map(lambda tick: tick / 1000),
    main=st.fixed_dictionaries(
        {}, optional={"exitCode": st.integers(0, 255), "signal": st.integers(0, 64), "reason": st.just("OOMKilled")}
    ),
    over_limit=st.sampled_from(["reject", "keep"]),
    limit_files=NUMBER,
    limit_bytes=NUMBER,
    limit_exceeded=st.booleans(),
    found=COUNT,
    collected=COUNT,
    in_place=COUNT,
    earlier=COUNT,
    unstable=PATHS,
    skipped=st.dictionaries(st.sampled_from(sorted(REASONS)), SKIPPED, max_size=3),
)
FULL: dict[str, Any] = json.loads(
    format_report(
        Report(
            "job-1",
            "sealed",
            started_at=1.0,
            sealed_at=2.0,
            main={"exitCode": 0},
            unstable=["a"],
            skipped={"unreadable": Skipped(1, 2, ["b"], "why")},
        )
    )
)


@OFTEN
@given(REPORT)
def test_written_report_is_parsed_back(report: Report) -> None:
    assert read_report(format_report(report)) == report


def test_new_report_is_parsed_back() -> None:
    assert read_report(format_report(Report("job-1"))) == Report("job-1")


def test_times_are_whole_seconds_in_utc() -> None:
    document = json.loads(format_report(Report("job-1", started_at=1639987200.9, sealed_at=0.0)))
    assert (document["startedAt"], document["sealedAt"]) == ("2021-12-20T08:00:00Z", None)


def test_reasons_are_explained_and_those_without_files_are_omitted() -> None:
    skipped = {"unreadable": Skipped(1, 2, ["a"], "Permission denied"), "excluded": Skipped()}
    assert json.loads(format_report(Report("job-1", skipped=skipped)))["skipped"] == [
        {
            "reason": "unreadable",
            "explanation": REASONS["unreadable"],
            "files": 1,
            "bytes": 2,
            "detail": "Permission denied",
            "paths": ["a"],
        }
    ]


@OFTEN
@given(ANY_TEXT)
def test_report_is_valid_utf_8_for_any_text(text: str) -> None:
    report = Report(
        text, message=text, group=text, unstable=[text], skipped={"unreadable": Skipped(1, 1, [text], text)}
    )
    content = format_report(report)
    content.decode()
    assert read_report(content).found == Count()


@pytest.mark.parametrize("name", ["x", "é", '"', "\U0001f600", "/".join(["%0A" * 80] * 50)])
def test_largest_possible_report_is_parsed_back(name: str) -> None:
    paths = [f"{number}/{name * (13_000 // len(name))}" for number in range(MAX_PATHS)]
    skipped = {reason: Skipped(10**6, 2**60, list(paths), paths[0]) for reason in REASONS}
    content = format_report(Report("job-1", "incomplete", message=paths[0], unstable=paths, skipped=skipped))
    assert len(content) <= MAX_BYTES
    report = read_report(content)
    assert {reason: (row.files, row.bytes) for reason, row in report.skipped.items()} == dict.fromkeys(
        REASONS, (10**6, 2**60)
    )
    assert all(row.paths and row.paths[0].startswith("0/") for row in report.skipped.values())


def test_report_lists_the_first_hundred_paths_of_each_reason() -> None:
    paths = [f"folder/file-{number:04}.txt" for number in range(1000)]
    skipped = {reason: Skipped(1000, 0, list(paths)) for reason in REASONS}
    report = read_report(format_report(Report("job-1", unstable=paths, skipped=skipped)))
    assert report.unstable == paths[:MAX_PATHS]
    assert all(row.paths == paths[:MAX_PATHS] for row in report.skipped.values())


def test_unknown_fields_and_reasons_are_ignored() -> None:
    document = FULL | {"later": 1, "skipped": [{"reason": "later", "files": 1}, {"reason": ["x"]}, 7, *FULL["skipped"]]}
    assert read_report(json.dumps(document).encode()) == read_report(json.dumps(FULL).encode())


@pytest.mark.parametrize(
    "content",
    [*NO_JSON, *NESTED, b"[]", b"null", b"{}", b'{"version":1}', b'{"version":2,"state":"sealed"}', b" " * MAX_BYTES]
    + [b'{"version":1,"state":%s}' % state for state in (b'"x"', b"null", b"[]", b"{}", b'{"sealed":1}', b"1e400")],
)
def test_invalid_report_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read_report(content)


@pytest.mark.parametrize(
    ("path", "value", "default"),
    [
        ("expiredAt", -1, 0),
        ("expiredAt", 1e5, 0),
        ("expiredAt", True, 0),
        ("expiredAt", 2**63, 0),
        ("job", 7, ""),
        ("job", "\ud800", "?"),
        ("unstable", ["\udcff"], ["?"]),
        ("durationSeconds", float("nan"), 0.0),
        ("durationSeconds", float("inf"), 0.0),
        ("durationSeconds", -1.0, 0.0),
        ("startedAt", "soon", 0.0),
        ("startedAt", 7, 0.0),
        ("startedAt", "0001-01-01T00:00:00+23:59", 0.0),
        ("startedAt", "9999-12-31T23:59:59-23:59", 0.0),
        ("unstable", "abc", []),
        ("unstable", [1, None], ["", ""]),
        ("skipped", {"unreadable": 1}, {}),
        ("main", [], {}),
        ("main", {"exitCode": "0", "signal": 10**400, "reason": 1}, {}),
    ],
)
def test_invalid_fields_get_defaults(path: str, value: object, default: object) -> None:
    report = read_report(json.dumps(FULL | {path: value}).encode())
    field = {
        "expiredAt": "expired_at",
        "durationSeconds": "duration_seconds",
        "startedAt": "started_at",
    }.get(path, path)
    assert getattr(report, field) == default


@OFTEN
@given(st.binary(max_size=40) | near(FULL))
def test_any_content_is_parsed_or_refused(content: bytes) -> None:
    try:
        report = read_report(content)
    except InvalidDocument:
        return
    json.dumps(dataclasses.asdict(report), ensure_ascii=False, allow_nan=False).encode()
    for seconds in (report.started_at, report.updated_at, report.sealed_at):
        time.strftime("%Y", time.gmtime(seconds))
        assert seconds >= 0
    assert all(-(2**31) <= value < 2**31 for value in report.main.values() if isinstance(value, int))
    assert read_report(format_report(report)).skipped.keys() <= REASONS.keys()


@OFTEN
@given(st.dictionaries(st.sampled_from(sorted(FULL)), st.text(max_size=5000) | st.lists(st.text(max_size=2000))))
def test_parsed_texts_and_lists_are_bounded(changes: dict[str, object]) -> None:
    try:
        report = read_report(json.dumps(FULL | changes).encode())
    except InvalidDocument:
        return
    assert all(len(text) <= 1024 for text in (report.job, report.message, report.group, *report.unstable))
    assert len(report.unstable) <= MAX_PATHS

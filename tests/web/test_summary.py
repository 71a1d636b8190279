"""Summaries of rare reports."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Call

Json = dict[str, Any]

NONE = {"files": 0, "bytes": 0}
COLLECTED = {"files": 2, "bytes": 20}


def report(**fields: Any) -> Json:
    """Return a report as in a GraphQL response."""
    counts = {"found": COLLECTED, "collected": COLLECTED, "inPlace": NONE, "earlierPod": NONE}
    rest = {"limitFiles": 10, "limitBytes": 100, "limitExceeded": False, "overLimit": "reject", "main": {}}
    return {"sealedAt": "2026-01-01T00:00:00Z", "skipped": [], "unstable": []} | counts | rest | fields


def job(state: str | None, report_: Json | None, files: int = 2, size: int = 20, phase: str = "Succeeded") -> Json:
    artifact = {"state": state, "report": report_, "totalCount": files, "totalSize": size}
    return {"phase": phase, "startTime": "2026-01-01T00:00:00Z", "artifact": artifact}


def skipped(reason: str, files: int = 1) -> Json:
    return {
        "reason": reason,
        "explanation": "explained by the API",
        "files": files,
        "bytes": 0,
        "detail": None,
        "paths": [],
    }


CASES: dict[str, tuple[Json, Callable[[Json], bool]]] = {
    "over the limit only at the end": (
        job("sealed", report(limitExceeded=True, found={"files": 12, "bytes": 20})),
        lambda summary: (
            summary["title"] == "Only 2 files (20 bytes) of 12 files (20 bytes) were collected."
            and "so no further files were collected" in summary["lines"][1]
            and "2 files over the limit" in summary["lines"][0]
            and "archive" in summary["hint"]
        ),
    ),
    "too large, not too many": (
        job("rejected", report(limitExceeded=True, found={"files": 2, "bytes": 1000}, collected=NONE), 0, 0),
        lambda summary: "900 bytes over the limit" in summary["lines"][0] and "archive" not in summary["hint"],
    ),
    "earlier copies of files that could not be examined": (
        job("incomplete", report(found={"files": 1, "bytes": 5}, skipped=[skipped("unreadable")])),
        lambda summary: (
            summary["title"] == "Some files are missing."
            and summary["lines"][0].startswith("The store also has earlier")
        ),
    ),
    "in place": (
        job("sealed", report(inPlace={"files": 1, "bytes": 5})),
        lambda summary: (
            summary["title"] == "All 3 files were collected (25 bytes)."
            and summary["lines"] == ["1 file (5 bytes) of them was already in the job folder."]
        ),
    ),
    "rejected beside files in place": (
        job("rejected", report(inPlace={"files": 1, "bytes": 5}, collected=NONE), 1, 5),
        lambda summary: "was already in the job folder and is still there" in summary["lines"][1],
    ),
    "more files than are scanned": (
        job("incomplete", report(found={"files": 200000, "bytes": 1})),
        lambda summary: summary["lines"] == ["The job wrote more files than the collector scans."],
    ),
    "all skipped": (
        job("empty", report(found=NONE, collected=NONE, skipped=[skipped("excluded", 7)]), 0, 0),
        lambda summary: (
            summary["title"] == "No files were collected: all files were skipped."
            and summary["skipped"][0]["title"] == "excluded by the rules on which files are collected"
        ),
    ),
    "a reason of a newer collector": (
        job("incomplete", report(skipped=[skipped("cosmic_rays"), skipped("unreadable", 0)])),
        lambda summary: [row["title"] for row in summary["skipped"]] == ["explained by the API"],
    ),
    "an older collector without a report": (
        job(None, None),
        lambda summary: summary["title"] == "There are 2 files (20 bytes)." and "no report" in summary["lines"][0],
    ),
    "nothing at all": (job(None, None, 0, 0), lambda summary: summary["title"] == "No files were collected."),
    "no artifact": (
        job(None, None) | {"artifact": None},
        lambda summary: summary["title"] == "No files were collected.",
    ),
    "over the limit while it runs, with partial collection": (
        job("syncing", report(limitExceeded=True, overLimit="keep"), phase="Running"),
        lambda summary: "Only the files within the limit are collected." in summary["lines"],
    ),
    "expired, with paths that are no longer shown": (
        job("expired", report(skipped=[skipped("unreadable")], unstable=["a"])),
        lambda summary: summary["skipped"] == summary["unstable"] == [],
    ),
    "an unknown state": (job("frozen", None), lambda summary: summary["title"] == "There are 2 files (20 bytes)."),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rare_report_is_summarized(call: Call, case: str) -> None:
    given, is_expected = CASES[case]
    summary = call("summary", "summarizeArtifacts", given)
    assert is_expected(summary), summary

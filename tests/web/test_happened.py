"""What the page makes of reports that jobs rarely leave: each case in words of its own."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Call

Told = dict[str, Any]

NONE = {"files": 0, "bytes": 0}
KEPT = {"files": 2, "bytes": 20}


def report(**fields: Any) -> Told:
    """A report as GraphQL tells it."""
    counts = {"found": KEPT, "collected": KEPT, "inPlace": NONE, "earlierPod": NONE}
    rest = {"limitFiles": 10, "limitBytes": 100, "limitExceeded": False, "overLimit": "reject", "main": {}}
    return {"sealedAt": "2026-01-01T00:00:00Z", "skipped": [], "unstable": []} | counts | rest | fields


def job(state: str | None, told: Told | None, files: int = 2, size: int = 20, phase: str = "Succeeded") -> Told:
    artifact = {"state": state, "report": told, "totalCount": files, "totalSize": size}
    return {"phase": phase, "startTime": "2026-01-01T00:00:00Z", "artifact": artifact}


def skipped(reason: str, files: int = 1) -> Told:
    return {"reason": reason, "explanation": "told by the API", "files": files, "bytes": 0, "detail": None, "paths": []}


CASES: dict[str, tuple[Told, Callable[[Told], bool]]] = {
    "grown past the limit at the end": (
        job("sealed", report(limitExceeded=True, found={"files": 12, "bytes": 20})),
        lambda told: (
            told["title"] == "Only 2 files (20 bytes) of 12 files (20 bytes) were collected."
            and "so no further files were collected" in told["lines"][1]
            and "2 files over the limit" in told["lines"][0]
            and "archive" in told["hint"]
        ),
    ),
    "too large, not too many": (
        job("rejected", report(limitExceeded=True, found={"files": 2, "bytes": 1000}, collected=NONE), 0, 0),
        lambda told: "900 bytes over the limit" in told["lines"][0] and "archive" not in told["hint"],
    ),
    "in place": (
        job("sealed", report(inPlace={"files": 1, "bytes": 5})),
        lambda told: (
            told["title"] == "All 3 files were collected (25 bytes)."
            and told["lines"] == ["1 file (5 bytes) of them was already in the job folder."]
        ),
    ),
    "rejected beside files in place": (
        job("rejected", report(inPlace={"files": 1, "bytes": 5}, collected=NONE), 1, 5),
        lambda told: "was already in the job folder and is still there" in told["lines"][1],
    ),
    "more files than are looked at": (
        job("incomplete", report(found={"files": 200000, "bytes": 1})),
        lambda told: told["lines"] == ["The job wrote more files than the collector scans."],
    ),
    "all left out": (
        job("empty", report(found=NONE, collected=NONE, skipped=[skipped("excluded", 7)]), 0, 0),
        lambda told: (
            told["title"] == "No files were collected: all files were skipped."
            and told["skipped"][0]["title"] == "excluded by the rules on which files are collected"
        ),
    ),
    "a reason of a newer collector": (
        job("incomplete", report(skipped=[skipped("cosmic_rays"), skipped("unreadable", 0)])),
        lambda told: [row["title"] for row in told["skipped"]] == ["told by the API"],
    ),
    "an older collector that leaves no report": (
        job(None, None),
        lambda told: told["title"] == "There are 2 files (20 bytes)." and "no report" in told["lines"][0],
    ),
    "nothing at all": (job(None, None, 0, 0), lambda told: told["title"] == "No files were collected."),
    "no artifact": (job(None, None) | {"artifact": None}, lambda told: told["title"] == "No files were collected."),
    "past the limit while it runs, where what fits is kept": (
        job("syncing", report(limitExceeded=True, overLimit="keep"), phase="Running"),
        lambda told: "Only the files within the limit are collected." in told["lines"],
    ),
    "expired, with paths that are not told any more": (
        job("expired", report(skipped=[skipped("unreadable")], unstable=["a"])),
        lambda told: told["skipped"] == told["unstable"] == [],
    ),
    "a state that is not known": (job("frozen", None), lambda told: told["title"] == "There are 2 files (20 bytes)."),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rare_report_is_told_in_words(call: Call, case: str) -> None:
    given, holds = CASES[case]
    told = call("summary", "summarizeArtifacts", given)
    assert holds(told), told

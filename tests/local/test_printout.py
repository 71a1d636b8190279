"""What the user is told at the end, as a table: a report and a listing in, the lines out."""

from typing import Any

import pytest

from artifacts.report import Count, Report, Skipped
from local.collected import Listing
from local.printout import describe, printable, progress_line

PHJOB = {
    "metadata": {"name": "job-1"},
    "status": {"phase": "Failed", "message": "main ended: exit code 7"},
}
NOTHING = Listing(Count(), [])
HEAD = "job-1: Failed, main ended: exit code 7"

CASES = {
    "all is kept": (
        Report("job-1", state="sealed", message="2 files (1.5 kB) in the store", expired_at=1_800_000_000),
        Listing(Count(2, 1536), [("a", 512), ("sub/b.txt", 1024)]),
        [
            HEAD,
            "artifacts: sealed - 2 files (1.5 kB) in the store",
            "   512 bytes  a",
            "      1.0 kB  sub/b.txt",
            "  in /store/, kept until 2027-01-15 08:00 UTC",
        ],
    ),
    "more than is shown": (
        Report("job-1", state="sealed", message="1000 files (1000 bytes) in the store"),
        Listing(Count(1000, 1000), [("a", 1)]),
        [
            HEAD,
            "artifacts: sealed - 1000 files (1000 bytes) in the store",
            "      1 byte  a",
            "              ... and 999 more",
            "  in /store/, without expiry",
        ],
    ),
    "no files": (
        Report("job-1", state="empty"),
        NOTHING,
        [HEAD, "artifacts: empty - the job left no files"],
    ),
    "some are skipped": (
        Report(
            "job-1",
            state="incomplete",
            message="2 of 12 files are in the store",
            skipped={
                "unreadable": Skipped(1, 5, ["secret"], "Permission denied"),
                "over_limit": Skipped(9, 900, ["p1", "p2", "p3", "p4"]),
            },
        ),
        NOTHING,
        [
            HEAD,
            "artifacts: incomplete - 2 of 12 files are in the store",
            "not kept:",
            "  9 files (900 bytes): past the limit on files or size (over_limit)",
            "    p1",
            "    p2",
            "    p3",
            "    ... and 6 more",
            "  1 file (5 bytes): the collector may not read them (unreadable: Permission denied)",
            "    secret",
        ],
    ),
    "reasons without names": (
        Report("job-1", state="empty", skipped={"excluded": Skipped(2)}),
        NOTHING,
        [
            HEAD,
            "artifacts: empty - the job left no files",
            "not kept:",
            "  2 files (0 bytes): left out by the include and exclude globs (excluded)",
        ],
    ),
    "hostile names": (
        Report(
            "job-1",
            state="sealed",
            message="\x1b[2Jx",
            skipped={"source_error": Skipped(1, 0, ["\x1b]0;x\x07"], "a\nb")},
        ),
        Listing(Count(1, 1), [("\udcff\u202e\r", 2)]),
        [
            HEAD,
            "artifacts: sealed - \\x1b[2Jx",
            "     2 bytes  \\udcff\\u202e\\r",
            "  in /store/, without expiry",
            "not kept:",
            "  1 file (0 bytes): could not be read (source_error: a\\nb)",
            "    \\x1b]0;x\\x07",
        ],
    ),
    "collecting is off": (
        None,
        NOTHING,
        [HEAD, "artifacts: not collected, as PHJOB_ARTIFACT_ENABLED is false"],
    ),
}


@pytest.mark.parametrize(("report", "listing", "lines"), CASES.values(), ids=CASES)
def test_the_end_is_told_in_words(report: Report | None, listing: Listing, lines: list[str]) -> None:
    assert describe(PHJOB, report, listing, "/store") == lines


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (None, ""),
        ({"state": "syncing"}, ""),
        ({"state": "sealed", "todoFiles": 0, "todoBytes": 0}, ""),
        ({"todoFiles": 1}, "collecting artifacts: 1 file (0 bytes) to go"),
        ({"todoFiles": 12, "todoBytes": 3 * 2**20}, "collecting artifacts: 12 files (3.0 MB) to go"),
    ],
)
def test_progress_is_told_while_there_is_something_to_do(words: dict[str, Any] | None, line: str) -> None:
    assert progress_line(words) == line


def test_ordinary_names_are_shown_as_they_are() -> None:
    assert printable("模型/été (1) %41.txt") == "模型/été (1) %41.txt"

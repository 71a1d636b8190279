"""The lines that a user sees at a job's end, for reports and listings of all kinds."""

from typing import Any

import pytest

from artifacts.report import REASONS, STATES, Count, Report, Skipped
from local.printout import format_progress, format_result, printable
from local.results import JobFileListing

PHJOB = {
    "metadata": {"name": "job-1"},
    "status": {"phase": "Failed", "message": "main ended: exit code 7"},
}
NO_FILES = JobFileListing(Count(), [])
FIRST_LINE = "job-1: Failed (exit code 7)"

CASES = {
    "all files are collected": (
        Report("job-1", state="sealed", message="2 files (1.5 kB) in the store", expired_at=1_800_000_000),
        JobFileListing(Count(2, 1536), [("a", 512), ("sub/b.txt", 1024)]),
        [
            FIRST_LINE,
            "artifacts (sealed): 2 files (1.5 kB) in the store",
            "   512 bytes  a",
            "      1.0 kB  sub/b.txt",
            "  stored in /store/, expires at 2027-01-15 08:00 UTC",
        ],
    ),
    "more than is shown": (
        Report("job-1", state="sealed", message="1000 files (1000 bytes) in the store"),
        JobFileListing(Count(1000, 1000), [("a", 1)]),
        [
            FIRST_LINE,
            "artifacts (sealed): 1000 files (1000 bytes) in the store",
            "      1 byte  a",
            "              ... and 999 more",
            "  stored in /store/, no expiry",
        ],
    ),
    "no files": (
        Report("job-1", state="empty"),
        NO_FILES,
        [FIRST_LINE, f"artifacts (empty): {STATES['empty']}"],
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
        NO_FILES,
        [
            FIRST_LINE,
            "artifacts (incomplete): 2 of 12 files are in the store",
            "not collected:",
            f"  9 files (900 bytes): {REASONS['over_limit']} (over_limit)",
            "    p1",
            "    p2",
            "    p3",
            "    ... and 6 more",
            f"  1 file (5 bytes): {REASONS['unreadable']} (unreadable: Permission denied)",
            "    secret",
        ],
    ),
    "reasons without names": (
        Report("job-1", state="empty", skipped={"excluded": Skipped(2)}),
        NO_FILES,
        [
            FIRST_LINE,
            f"artifacts (empty): {STATES['empty']}",
            "not collected:",
            f"  2 files (0 bytes): {REASONS['excluded']} (excluded)",
        ],
    ),
    "hostile names": (
        Report(
            "job-1",
            state="sealed",
            message="\x1b[2Jx",
            skipped={"source_error": Skipped(1, 0, ["\x1b]0;x\x07"], "a\nb")},
        ),
        JobFileListing(Count(1, 1), [("\udcff\u202e\r", 2)]),
        [
            FIRST_LINE,
            "artifacts (sealed): \\x1b[2Jx",
            "     2 bytes  \\udcff\\u202e\\r",
            "  stored in /store/, no expiry",
            "not collected:",
            f"  1 file (0 bytes): {REASONS['source_error']} (source_error: a\\nb)",
            "    \\x1b]0;x\\x07",
        ],
    ),
    "a link out of the job's folders": (
        Report(
            "job-1", state="incomplete", message="0 of 1 files", skipped={"outside_volumes": Skipped(1, 0, ["out"])}
        ),
        NO_FILES,
        [
            FIRST_LINE,
            "artifacts (incomplete): 0 of 1 files",
            "not collected:",
            "  1 file (0 bytes): links to files outside the job's working directory and ./phfs, "
            "which are not collected (outside_volumes)",
            "    out",
        ],
    ),
    "collecting is switched off": (
        None,
        NO_FILES,
        [FIRST_LINE, "artifacts: not collected, because PHJOB_ARTIFACT_ENABLED is false"],
    ),
}


@pytest.mark.parametrize(("report", "listing", "lines"), CASES.values(), ids=CASES)
def test_result_is_formatted(report: Report | None, listing: JobFileListing, lines: list[str]) -> None:
    assert format_result(PHJOB, report, listing, "/store") == lines


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (None, ""),
        ({"state": "syncing"}, ""),
        ({"state": "sealed", "todoFiles": 0, "todoBytes": 0}, ""),
        ({"todoFiles": 1}, "collecting artifacts: 1 file (0 bytes) remaining"),
        ({"todoFiles": 12, "todoBytes": 3 * 2**20}, "collecting artifacts: 12 files (3.0 MB) remaining"),
    ],
)
def test_progress_is_formatted_while_files_remain(summary: dict[str, Any] | None, line: str) -> None:
    assert format_progress(summary) == line


def test_printable_names_are_not_escaped() -> None:
    assert printable("模型/été (1) %41.txt") == "模型/été (1) %41.txt"

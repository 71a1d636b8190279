"""The verdict: the state of a sealed report, and a sentence that people understand."""

import pytest

from artifacts.report import INCOMPLETE_REASONS, REASONS, STATES, Count, Report, Skipped
from artifacts.settings import MIB
from sidecar.verdict import files_and_size, size_text, verdict

OUTSIDE = Skipped(1, 0, ["."], "/tmp/out")


def report(
    collected: int = 2,
    in_place: int = 0,
    exceeded: bool = False,
    skipped: dict[str, Skipped] | None = None,
    over_limit: str = "reject",
) -> Report:
    return Report(
        "job-1",
        over_limit=over_limit,
        limit_files=1000,
        limit_bytes=100 * MIB,
        limit_exceeded=exceeded,
        found=Count(5, 5 * MIB),
        collected=Count(collected, collected * MIB),
        in_place=Count(in_place, in_place * MIB),
        skipped=skipped or {},
    )


@pytest.mark.parametrize(
    ("made", "rejected", "truncated", "expected"),
    [
        (report(), False, False, ("sealed", "2 files (2.0 MB) in the store")),
        (report(1, 1), False, False, ("sealed", "2 files (2.0 MB) in the store")),
        (report(1), False, False, ("sealed", "1 file (1.0 MB) in the store")),
        (report(0), False, False, ("empty", "the job left no files to keep")),
        (
            report(2, skipped={"excluded": Skipped(3), "special_file": Skipped(1)}),
            False,
            False,
            ("sealed", "2 files (2.0 MB) in the store"),
        ),
        (
            report(2, exceeded=True, skipped={"over_limit": Skipped(3)}, over_limit="keep"),
            False,
            False,
            (
                "sealed",
                "2 files (2.0 MB) in the store: over the limit: 5 files (5.0 MB) found, "
                "1000 files (100.0 MB) allowed, so only what fits was kept",
            ),
        ),
        (
            report(0, skipped={"excluded": Skipped(3, 30, ["a"])}),
            False,
            False,
            ("empty", "nothing is left to keep: the include and exclude globs left out 3 files (30 bytes)"),
        ),
        (
            report(0, exceeded=True, skipped={"unreadable": Skipped(1, 0, ["a"])}),
            True,
            True,
            (
                "rejected",
                "over the limit: 5 files (5.0 MB) found, 1000 files (100.0 MB) allowed, so nothing was kept",
            ),
        ),
        (
            report(2, skipped={"unreadable": Skipped(3, 0, ["a", "b", "c", "d"], "Permission denied")}),
            False,
            False,
            ("incomplete", "2 of 5 files are in the store; unreadable: a (Permission denied) and 2 more"),
        ),
        (
            report(0, skipped={"store_error": Skipped(1, 0, ["a"]), "outside_volumes": OUTSIDE}),
            False,
            False,
            (
                "incomplete",
                "0 of 5 files are in the store; outside_volumes: the artifacts folder (/tmp/out); store_error: a",
            ),
        ),
        (
            report(2),
            False,
            True,
            ("incomplete", "2 of 5 files are in the store; there are more files than are looked at"),
        ),
    ],
)
def test_the_verdict_says_how_it_ended(
    made: Report, rejected: bool, truncated: bool, expected: tuple[str, str]
) -> None:
    assert verdict(made, rejected, truncated) == expected
    assert expected[0] in STATES


@pytest.mark.parametrize("reason", REASONS)
def test_a_job_is_incomplete_if_a_file_that_was_wanted_is_missing(reason: str) -> None:
    state, _ = verdict(report(2, skipped={reason: Skipped(1, 0, ["a"])}), rejected=False, truncated=False)
    by_rule = {"over_limit", "excluded", "broken_link", "link_loop", "special_file"}
    assert state == ("sealed" if reason in by_rule else "incomplete")
    assert INCOMPLETE_REASONS.isdisjoint(by_rule)
    assert INCOMPLETE_REASONS | by_rule == REASONS.keys()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 kB"),
        (1536, "1.5 kB"),
        (MIB, "1.0 MB"),
        (5000 * MIB, "5000.0 MB"),
    ],
)
def test_sizes_are_told_in_units_of_1024(size: int, text: str) -> None:
    assert size_text(size) == text


def test_one_file_is_no_files() -> None:
    assert (files_and_size(1, 0), files_and_size(2, 0)) == ("1 file (0 bytes)", "2 files (0 bytes)")

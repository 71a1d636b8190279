"""The outcome: the state and the message of a sealed report, and the format of sizes."""

import pytest

from artifacts.report import INCOMPLETE_REASONS, REASONS, STATES, Count, Report, Skipped
from artifacts.settings import MIB
from sidecar.outcome import compute_outcome, format_files_and_size, format_size

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
    ("sealed_report", "is_rejected", "is_truncated", "expected"),
    [
        (report(), False, False, ("sealed", "2 files (2.0 MB) in the store")),
        (report(1, 1), False, False, ("sealed", "2 files (2.0 MB) in the store")),
        (report(1), False, False, ("sealed", "1 file (1.0 MB) in the store")),
        (report(0), False, False, ("empty", "the job left no files")),
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
                "2 files (2.0 MB) in the store; over the limit: 5 files (5.0 MB) found, "
                "1000 files (100.0 MB) allowed; only the files that fit were collected",
            ),
        ),
        (
            report(0, exceeded=True, skipped={"over_limit": Skipped(5), "excluded": Skipped(1)}, over_limit="keep"),
            False,
            False,
            (
                "rejected",
                "over the limit: 5 files (5.0 MB) found, 1000 files (100.0 MB) allowed; no files were collected",
            ),
        ),
        (
            report(0, skipped={"excluded": Skipped(3, 30, ["a"])}),
            False,
            False,
            ("empty", "no files to collect: the include and exclude globs excluded 3 files (30 bytes)"),
        ),
        (
            report(2, skipped={"link_over_limit": Skipped(3, MIB, ["a"])}),
            False,
            False,
            ("sealed", "2 files (2.0 MB) in the store; the limits leave no room for 3 files (1.0 MB) reached by links"),
        ),
        (
            report(0, skipped={"link_over_limit": Skipped(1, 200 * MIB, ["a"])}),
            False,
            False,
            ("empty", "no files to collect; the limits leave no room for 1 file (200.0 MB) reached by links"),
        ),
        (
            report(0, exceeded=True, skipped={"unreadable": Skipped(1, 0, ["a"])}),
            True,
            True,
            (
                "rejected",
                "over the limit: 5 files (5.0 MB) found, 1000 files (100.0 MB) allowed; no files were collected",
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
            (
                "incomplete",
                "2 of 5 files are in the store; the scan reached its limit on entries, paths or time",
            ),
        ),
    ],
)
def test_the_outcome_has_the_expected_state_and_message(
    sealed_report: Report, is_rejected: bool, is_truncated: bool, expected: tuple[str, str]
) -> None:
    assert compute_outcome(sealed_report, is_rejected, is_truncated) == expected
    assert expected[0] in STATES


@pytest.mark.parametrize("reason", REASONS)
def test_a_job_is_incomplete_only_if_a_wanted_file_is_missing(reason: str) -> None:
    state, _ = compute_outcome(report(2, skipped={reason: Skipped(1, 0, ["a"])}), is_rejected=False, is_truncated=False)
    skipped_by_rule = {"over_limit", "excluded", "broken_link", "link_loop", "special_file"}
    skipped_by_rule |= {"link_over_limit", "link_skipped", "other_jobs"}
    assert state == ("sealed" if reason in skipped_by_rule else "incomplete")
    assert INCOMPLETE_REASONS.isdisjoint(skipped_by_rule)
    assert INCOMPLETE_REASONS | skipped_by_rule == REASONS.keys()


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
def test_sizes_are_formatted_in_units_of_1024(size: int, text: str) -> None:
    assert format_size(size) == text


def test_the_number_of_files_is_formatted_in_singular_and_plural() -> None:
    assert (format_files_and_size(1, 0), format_files_and_size(2, 0)) == ("1 file (0 bytes)", "2 files (0 bytes)")

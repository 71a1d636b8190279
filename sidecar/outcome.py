"""Computes the state and the message of a report, and formats counts and sizes for people. Pure."""

from artifacts.report import INCOMPLETE_REASONS, REASONS, Report, Skipped
from artifacts.settings import MIB


def compute_outcome(report: Report, is_rejected: bool, is_truncated: bool, outdated_files: int = 0) -> tuple[str, str]:
    """Return the state and the message to seal `report` with.

    `is_truncated`: the scan reached a limit. `outdated_files`: how many copies are not those of the current files.
    """
    stored = report.collected.files + report.in_place.files
    if is_rejected:
        in_place = f" except {report.in_place.files} already in the job folder" if report.in_place.files else ""
        return "rejected", f"{limit_message(report)}; no files were collected{in_place}"
    missing = [row for reason, row in report.skipped.items() if reason in INCOMPLETE_REASONS]
    if missing or is_truncated:
        return "incomplete", _incomplete_message(report, is_truncated, outdated_files)
    left_out = _describe_left_out(report)
    if not stored:
        return _outcome_without_files(report, left_out)
    message = f"{format_files_and_size(stored, report.collected.bytes + report.in_place.bytes)} in the store{left_out}"
    if report.limit_exceeded and report.over_limit == "keep":
        return "sealed", f"{message}; {limit_message(report)}; only the files that fit were collected"
    if report.limit_exceeded:
        return "sealed", f"{message}; {limit_message(report)}; no more files were collected"
    return "sealed", message


def _outcome_without_files(report: Report, left_out: str) -> tuple[str, str]:
    if report.limit_exceeded:
        return "rejected", f"{limit_message(report)}; no files were collected"
    if "excluded" in report.skipped:
        excluded = format_files_and_size(report.skipped["excluded"].files, report.skipped["excluded"].bytes)
        return "empty", f"no files to collect: the include and exclude globs excluded {excluded}"
    return "empty", f"no files to collect{left_out}" if left_out else "the job left no files"


def limit_message(report: Report) -> str:
    """Describe by how much a job exceeds its limits."""
    found = format_files_and_size(report.found.files, report.found.bytes)
    return f"over the limit: {found} found, {format_files_and_size(report.limit_files, report.limit_bytes)} allowed"


def format_files_and_size(files: int, size_bytes: int) -> str:
    """Format a number of files and their size, such as `3 files (1.2 MB)`."""
    return f"{files} {'file' if files == 1 else 'files'} ({format_size(size_bytes)})"


def format_size(size_bytes: int) -> str:
    """Format a size in bytes, kB (1024 bytes) or MB (1024 kB)."""
    if size_bytes < 1024:
        return f"{size_bytes} {'byte' if size_bytes == 1 else 'bytes'}"
    return f"{size_bytes / 1024:.1f} kB" if size_bytes < MIB else f"{size_bytes / MIB:.1f} MB"


def _describe_left_out(report: Report) -> str:
    row = report.skipped.get("link_over_limit")
    return (
        f"; the limits leave no room for {format_files_and_size(row.files, row.bytes)} reached by links" if row else ""
    )


def _incomplete_message(report: Report, is_truncated: bool, outdated_files: int) -> str:
    stored = report.collected.files + report.in_place.files - outdated_files
    parts = [f"{stored} of {report.found.files} files are in the store"]
    if outdated_files:
        parts[0] += f", and {outdated_files} earlier {'copy' if outdated_files == 1 else 'copies'}"
    if is_truncated:
        parts.append("the scan reached its limit on entries, paths or time")
    missing = INCOMPLETE_REASONS & report.skipped.keys()
    parts += [_describe_missing(reason, report.skipped[reason]) for reason in REASONS if reason in missing]
    return "; ".join(parts)


def _describe_missing(reason: str, row: Skipped) -> str:
    first = "the artifacts folder" if row.paths[:1] == ["."] else (row.paths or [""])[0]
    more = f" and {row.files - 1} more" if row.files > 1 else ""
    return f"{reason}: {first}" + (f" ({row.detail})" if row.detail else "") + more

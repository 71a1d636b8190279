"""How it ended, in a word and a sentence: the state of a sealed report, and what a person should know. Pure."""

from artifacts.report import INCOMPLETE_REASONS, REASONS, Report, Skipped
from artifacts.settings import MIB


def verdict(report: Report, rejected: bool, truncated: bool) -> tuple[str, str]:
    """(state, message) for the seal of what `report` describes."""
    kept = report.collected.files + report.in_place.files
    if rejected:
        stays = f" but the {report.in_place.files} in place" if report.in_place.files else ""
        return "rejected", f"{over_limit(report)}, so nothing was kept{stays}"
    missing = [row for reason, row in report.skipped.items() if reason in INCOMPLETE_REASONS]
    if missing or truncated:
        return "incomplete", _incomplete(report, truncated)
    if not kept and "excluded" in report.skipped:
        left_out = files_and_size(report.skipped["excluded"].files, report.skipped["excluded"].bytes)
        return "empty", f"nothing is left to keep: the include and exclude globs left out {left_out}"
    if not kept:
        return "empty", "the job left no files to keep"
    said = f"{files_and_size(kept, report.collected.bytes + report.in_place.bytes)} in the store"
    if report.limit_exceeded and report.over_limit == "keep":
        return "sealed", f"{said}: {over_limit(report)}, so only what fits was kept"
    if report.limit_exceeded:
        return "sealed", f"{said}: {over_limit(report)}, so nothing more was kept"
    return "sealed", said


def over_limit(report: Report) -> str:
    """The numbers of a job that passes its limits."""
    found = files_and_size(report.found.files, report.found.bytes)
    return f"over the limit: {found} found, {files_and_size(report.limit_files, report.limit_bytes)} allowed"


def files_and_size(files: int, size: int) -> str:
    """For people: `3 files (1.2 MB)`."""
    return f"{files} {'file' if files == 1 else 'files'} ({size_text(size)})"


def size_text(size: int) -> str:
    """For people: bytes below 1 kB, else kB or MB of 1024."""
    if size < 1024:
        return f"{size} {'byte' if size == 1 else 'bytes'}"
    return f"{size / 1024:.1f} kB" if size < MIB else f"{size / MIB:.1f} MB"


def _incomplete(report: Report, truncated: bool) -> str:
    kept = report.collected.files + report.in_place.files
    said = [f"{kept} of {report.found.files} files are in the store"]
    if truncated:
        said.append("there are more files than are looked at")
    missing = INCOMPLETE_REASONS & report.skipped.keys()
    said += [_missing(reason, report.skipped[reason]) for reason in REASONS if reason in missing]
    return "; ".join(said)


def _missing(reason: str, row: Skipped) -> str:
    first = "the artifacts folder" if row.paths[:1] == ["."] else (row.paths or [""])[0]
    more = f" and {row.files - 1} more" if row.files > 1 else ""
    return f"{reason}: {first}" + (f" ({row.detail})" if row.detail else "") + more

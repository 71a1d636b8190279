"""The form of `report.json`: what happened to a job's artifacts, for people and for the API.

The report explains; what the store holds is the truth. It lies where users can write: reading takes nothing on trust.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from artifacts.errors import InvalidDocument

VERSION = 1
MAX_BYTES = 1024 * 1024
MAX_PATHS = 100  # names kept for each reason

STATES = {
    "syncing": "the job runs; files are copied as they come to rest",
    "sealed": "everything that was to be kept is in the store",
    "incomplete": "not everything could be stored before time ran out",
    "rejected": "the limits were passed, so nothing was kept",
    "empty": "the job left no files",
}

REASONS = {
    "over_limit": "past the limit on files or size",
    "excluded": "left out by the include and exclude globs",
    "outside_volumes": (
        "links to a place on none of the job's volumes, which the collector cannot see: "
        "write to the artifacts folder, or to a mounted volume"
    ),
    "broken_link": "links to nothing",
    "link_loop": "links that lead back into themselves, or folders too deep",
    "special_file": "no regular files: FIFOs, sockets or devices",
    "unreadable": "the collector may not read them",
    "invalid_name": "names too long for the store",
    "source_error": "could not be read",
    "store_error": "could not be written to the store",
    "store_conflict": "something that the collector did not write stands in their place in the store",
    "not_reached": "time ran out before their turn",
}


@dataclass
class Count:
    """A number of files and the bytes in them."""

    files: int = 0
    bytes: int = 0


@dataclass
class Skipped(Count):
    """Files left out for one reason; `paths` holds the first of them, `detail` the last error's words."""

    paths: list[str] = field(default_factory=list)
    detail: str = ""


@dataclass
class Report:
    """What happened so far. Times are UNIX seconds (0: not yet); `main` says how main ended, where known."""

    job: str
    state: str = "syncing"
    message: str = ""
    group: str = ""
    pod_uid: str = ""
    version: str = ""
    started_at: float = 0.0
    updated_at: float = 0.0
    sealed_at: float = 0.0
    expired_at: int = 0
    duration_seconds: float = 0.0
    main: dict[str, Any] = field(default_factory=dict)
    over_limit: str = "reject"
    limit_files: int = 0
    limit_bytes: int = 0
    limit_exceeded: bool = False
    found: Count = field(default_factory=Count)
    collected: Count = field(default_factory=Count)
    in_place: Count = field(default_factory=Count)
    earlier: Count = field(default_factory=Count)
    unstable: list[str] = field(default_factory=list)
    skipped: dict[str, Skipped] = field(default_factory=dict)


def format_report(report: Report) -> bytes:
    """The report as indented JSON, made to be read by a person as well."""
    document = {
        "version": VERSION,
        "job": report.job,
        "group": report.group,
        "podUid": report.pod_uid,
        "state": report.state,
        "message": report.message,
        "startedAt": _rfc3339(report.started_at),
        "updatedAt": _rfc3339(report.updated_at),
        "sealedAt": _rfc3339(report.sealed_at),
        "expiredAt": report.expired_at,
        "durationSeconds": round(report.duration_seconds, 3),
        "main": report.main,
        "limits": {
            "overLimit": report.over_limit,
            "files": report.limit_files,
            "bytes": report.limit_bytes,
            "exceeded": report.limit_exceeded,
        },
        "found": _count(report.found),
        "collected": _count(report.collected),
        "inPlace": _count(report.in_place),
        "earlierPod": _count(report.earlier),
        "unstable": report.unstable[:MAX_PATHS],
        "skipped": [
            {
                "reason": reason,
                "explanation": REASONS[reason],
                "files": skipped.files,
                "bytes": skipped.bytes,
                "detail": skipped.detail,
                "paths": skipped.paths[:MAX_PATHS],
            }
            for reason, skipped in sorted(report.skipped.items())
            if skipped.files
        ],
        "collectorVersion": report.version,
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def read_report(content: bytes) -> Report:
    """Parse a report; raise InvalidDocument where it is none. Unknown fields are ignored, wrong ones get defaults."""
    try:
        document = json.loads(content) if len(content) <= MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("report", "it is no JSON") from error
    if not isinstance(document, dict) or document.get("version") != VERSION or document.get("state") not in STATES:
        raise InvalidDocument("report", f"it is no report of version {VERSION}, or larger than {MAX_BYTES} bytes")
    limits = _dict(document.get("limits"))
    return Report(
        job=_text(document.get("job")),
        state=document["state"],
        message=_text(document.get("message")),
        group=_text(document.get("group")),
        pod_uid=_text(document.get("podUid")),
        version=_text(document.get("collectorVersion")),
        started_at=_seconds(document.get("startedAt")),
        updated_at=_seconds(document.get("updatedAt")),
        sealed_at=_seconds(document.get("sealedAt")),
        expired_at=_whole(document.get("expiredAt")),
        duration_seconds=_decimal(document.get("durationSeconds")),
        main=read_main(document.get("main")),
        over_limit=_text(limits.get("overLimit")),
        limit_files=_whole(limits.get("files")),
        limit_bytes=_whole(limits.get("bytes")),
        limit_exceeded=limits.get("exceeded") is True,
        found=_read_count(document.get("found")),
        collected=_read_count(document.get("collected")),
        in_place=_read_count(document.get("inPlace")),
        earlier=_read_count(document.get("earlierPod")),
        unstable=_names(document.get("unstable")),
        skipped=_read_skipped(document.get("skipped")),
    )


def _count(count: Count) -> dict[str, int]:
    return {"files": count.files, "bytes": count.bytes}


def _read_count(value: Any) -> Count:
    fields = _dict(value)
    return Count(_whole(fields.get("files")), _whole(fields.get("bytes")))


def _read_skipped(value: Any) -> dict[str, Skipped]:
    rows = [_dict(row) for row in value] if isinstance(value, list) else []
    return {
        row["reason"]: Skipped(
            _whole(row.get("files")), _whole(row.get("bytes")), _names(row.get("paths")), _text(row.get("detail"))
        )
        for row in rows[: len(REASONS)]
        if isinstance(row.get("reason"), str) and row["reason"] in REASONS
    }


def _rfc3339(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


def _seconds(value: Any) -> float:
    from datetime import datetime  # noqa: PLC0415 - only readers need it, not the sidecar in every job's pod

    try:
        return datetime.fromisoformat(_text(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value[:1024] if isinstance(value, str) else ""


def _names(value: Any) -> list[str]:
    return [_text(name) for name in value[:MAX_PATHS]] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _decimal(value: Any) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 2**31 else 0.0


def read_main(value: Any) -> dict[str, Any]:
    """What may be said of main's end: `exitCode` or `signal` (whole numbers) and `reason` (a word), where known."""
    fields = _dict(value)
    kept: dict[str, Any] = {key: fields[key] for key in ("exitCode", "signal") if type(fields.get(key)) is int}
    if isinstance(fields.get("reason"), str):
        kept["reason"] = fields["reason"][:64]
    return kept

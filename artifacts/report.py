"""The format of `report.json`: what happened to a job's artifacts, for people and for the API.

The report only explains the content of the store. Users can write to the job folder, so the report is parsed as hostile
input.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from artifacts.errors import InvalidDocument

VERSION = 1
MAX_BYTES = 1024 * 1024
MAX_PATHS = 100  # for each reason
MAX_TEXT_CHARS = 1024

_MAX_TIME = 253402300799  # the end of the year 9999, the last that datetime supports

STATES = {
    "syncing": "the job is running; files are copied when they have not changed for a while",
    "sealed": "collection has ended; the store has all files that the settings select",
    "incomplete": "collection has ended; files that the settings select are missing in the store",
    "rejected": "the artifacts exceed a limit, so none of them were collected",
    "empty": "the artifacts folder contained no files to collect",
}

REASONS = {
    "over_limit": "the limit on the number or size of files is exceeded; raise it or exclude files",
    "link_over_limit": "linked files, including further hard links, for which the limits leave no room; "
    "raise the limits, or link only to files that you need",
    "link_skipped": "links, which are left out because PHJOB_ARTIFACT_LINKS is skip",
    "other_jobs": "links to the artifacts of other jobs",
    "excluded": "excluded by the include and exclude globs",
    "outside_volumes": (
        "links to files outside the job's volumes, which the collector cannot read: "
        "write to the artifacts folder or to a mounted volume"
    ),
    "broken_link": "links to targets that do not exist",
    "link_loop": "links that form a loop",
    "too_deep": "nested in more than 100 folders; use fewer folders or an archive",
    "special_file": "FIFOs, sockets or devices, not regular files",
    "not_a_folder": "the artifacts path is neither a folder nor a link to a folder; make it a folder",
    "unreadable": "the collector has no permission to read them; let all users read them",
    "invalid_name": "their names or paths are too long for the store; shorten them",
    "source_error": "reading them failed; check the volume, then run the job again",
    "store_error": "writing them to the store failed; free space or restore access to it, then run the job again",
    "store_conflict": "something that the collector did not write occupies their path in the store; remove it",
    "not_reached": "the grace period ended before they were copied; set a longer one with the annotation "
    "primehub.io/artifact-grace-seconds or the pod's terminationGracePeriodSeconds",
}

# With these reasons, files that should be in the store are missing. The others are skipped by design.
INCOMPLETE_REASONS = frozenset(
    REASONS.keys()
    - {"over_limit", "link_over_limit", "link_skipped", "other_jobs"}
    - {"excluded", "broken_link", "link_loop", "special_file"}
)


@dataclass
class Count:
    """A number of files and the bytes in them."""

    files: int = 0
    bytes: int = 0


@dataclass
class Skipped(Count):
    """The files skipped for one reason. `paths` has the first of them; `detail` is the text of the last error."""

    paths: list[str] = field(default_factory=list)
    detail: str = ""


@dataclass
class Report:
    """The state of the collection. Times are UNIX seconds, 0 if not reached yet. `main` is how main ended, if known."""

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
    """Return the report as indented JSON. It lists fewer paths if it would exceed MAX_BYTES, which readers reject."""
    max_paths = MAX_PATHS
    while len(content := _encode(_document(report, max_paths))) > MAX_BYTES:
        max_paths //= 2
    return content


def _document(report: Report, max_paths: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "job": read_text(report.job),
        "group": read_text(report.group),
        "podUid": read_text(report.pod_uid),
        "state": report.state,
        "message": read_text(report.message),
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
        "unstable": _names(report.unstable[:max_paths]),
        "skipped": [
            {
                "reason": reason,
                "explanation": REASONS[reason],
                "files": skipped.files,
                "bytes": skipped.bytes,
                "detail": read_text(skipped.detail),
                "paths": _names(skipped.paths[:max_paths]),
            }
            for reason, skipped in sorted(report.skipped.items())
            if skipped.files
        ],
        "collectorVersion": report.version,
    }


def _encode(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def read_report(content: bytes) -> Report:
    """Parse a report. Unknown fields are ignored, and invalid fields get defaults. Raises InvalidDocument."""
    try:
        document = json.loads(content) if len(content) <= MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("report", "it is not JSON") from error
    if not isinstance(document, dict) or document.get("version") != VERSION or not is_state(document.get("state")):
        raise InvalidDocument("report", f"it is not a report of version {VERSION}, or is larger than {MAX_BYTES} bytes")
    limits = _dict(document.get("limits"))
    return Report(
        job=read_text(document.get("job")),
        state=document["state"],
        message=read_text(document.get("message")),
        group=read_text(document.get("group")),
        pod_uid=read_text(document.get("podUid")),
        version=read_text(document.get("collectorVersion")),
        started_at=_seconds(document.get("startedAt")),
        updated_at=_seconds(document.get("updatedAt")),
        sealed_at=_seconds(document.get("sealedAt")),
        expired_at=_whole(document.get("expiredAt")),
        duration_seconds=_decimal(document.get("durationSeconds")),
        main=read_main(document.get("main")),
        over_limit=read_text(limits.get("overLimit")),
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


def is_state(value: Any) -> bool:
    """Whether the value, of any type, is a key of STATES."""
    return isinstance(value, str) and value in STATES


def read_text(value: Any, limit: int = MAX_TEXT_CHARS) -> str:
    """Return the first `limit` characters of a string, or "" for other types. Lone surrogates become "?"."""
    return value[:limit].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(count: Count) -> dict[str, int]:
    return {"files": count.files, "bytes": count.bytes}


def _read_count(value: Any) -> Count:
    fields = _dict(value)
    return Count(_whole(fields.get("files")), _whole(fields.get("bytes")))


def _read_skipped(value: Any) -> dict[str, Skipped]:
    rows = [_dict(row) for row in value] if isinstance(value, list) else []
    return {
        row["reason"]: Skipped(
            _whole(row.get("files")), _whole(row.get("bytes")), _names(row.get("paths")), read_text(row.get("detail"))
        )
        for row in rows[: len(REASONS)]
        if isinstance(row.get("reason"), str) and row["reason"] in REASONS
    }


def _rfc3339(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


def _seconds(value: Any) -> float:
    from datetime import datetime  # noqa: PLC0415 - only readers need it; the sidecar saves the import

    try:
        seconds = datetime.fromisoformat(read_text(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return seconds if 0 <= seconds <= _MAX_TIME else 0.0


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> list[str]:
    return [read_text(name) for name in value[:MAX_PATHS]] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _decimal(value: Any) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 2**31 else 0.0


def read_main(value: Any) -> dict[str, Any]:
    """Return the valid fields of how main ended: `exitCode` or `signal` (integers) and `reason` (a word)."""
    fields = _dict(value)
    result: dict[str, Any] = {key: fields[key] for key in ("exitCode", "signal") if _is_small(fields.get(key))}
    if isinstance(fields.get("reason"), str):
        result["reason"] = read_text(fields["reason"], 64)
    return result


def _is_small(value: Any) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31

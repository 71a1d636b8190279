"""The termination summary: a short form of the report that the sidecar writes as its container's termination message.

Kubernetes truncates the message to 4096 bytes. The summary has at most 2048 and is always complete JSON; fields are
omitted if necessary. The job can influence its content, so the controller parses it as hostile input.
"""

import json
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.report import REASONS, Count, Report, is_state, read_text

VERSION = 1
MAX_BYTES = 2048


def format_summary(report: Report, todo: Count | None = None, lag_seconds: float | None = None) -> bytes:
    """Return the summary of a report, in at most MAX_BYTES.

    `todo` counts the files that the last sync has not copied yet. `lag_seconds` is the time from main's end (SIGTERM)
    to the seal.
    """
    document: dict[str, Any] = {
        "version": VERSION,
        "state": report.state,
        "sealed": report.sealed_at > 0,
        "files": report.collected.files + report.in_place.files,
        "bytes": report.collected.bytes + report.in_place.bytes,
        "foundFiles": report.found.files,
        "foundBytes": report.found.bytes,
        "expiredAt": report.expired_at,
        "skipped": {reason: skipped.files for reason, skipped in report.skipped.items() if skipped.files},
        "limitExceeded": report.limit_exceeded,
    }
    if todo is not None:
        document |= {"todoFiles": todo.files, "todoBytes": todo.bytes}
    if lag_seconds is not None:
        document["lagSeconds"] = round(lag_seconds, 3)
    document |= {"job": report.job, "podUid": report.pod_uid, "message": report.message}
    if sizes := {reason: skipped.bytes for reason, skipped in report.skipped.items() if skipped.bytes}:
        document["skippedBytes"] = sizes
    return shorten(document)


def shorten(document: dict[str, Any]) -> bytes:
    """Return `document` as JSON of at most MAX_BYTES. Fields are removed from the end; texts are shortened first."""
    fields = dict(document)
    while len(content := _encode(fields)) > MAX_BYTES:
        name, value = fields.popitem()
        if isinstance(value, str) and value:
            fields[name] = value[: len(value) * 3 // 4]
    return content


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def read_summary(content: bytes) -> dict[str, Any]:
    """Return the valid fields of a summary. Raises InvalidDocument if the content is not a summary."""
    try:
        document = json.loads(content) if len(content) <= 2 * MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("summary", "it is not JSON") from error
    if not isinstance(document, dict) or document.get("version") != VERSION or not is_state(document.get("state")):
        raise InvalidDocument("summary", f"it is not a summary of version {VERSION}")
    numbers = ("files", "bytes", "foundFiles", "foundBytes", "expiredAt", "todoFiles", "todoBytes")
    fields = {name: document[name] for name in numbers if _is_count(document.get(name))}
    fields |= {name: document.get(name) is True for name in ("sealed", "limitExceeded")}
    lag = document.get("lagSeconds")
    if isinstance(lag, int | float) and 0 <= lag < 2**31:
        fields["lagSeconds"] = float(lag)
    for name in ("skipped", "skippedBytes"):
        numbers_by_reason = document.get(name)
        if isinstance(numbers_by_reason, dict):
            fields[name] = {
                reason: numbers_by_reason[reason] for reason in REASONS if _is_count(numbers_by_reason.get(reason))
            }
    return fields | {"state": document["state"], "message": read_text(document.get("message"), 512)}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63

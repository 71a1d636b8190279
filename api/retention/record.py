"""The record of what people decided about a job's artifacts: its place, its form. Pure.

It lies outside `groups/`, where no job can write, and only `api.retention.terms` writes it. One that cannot be read
holds the artifacts: nobody loses what somebody pinned.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.names import check_job_name, group_path
from artifacts.report import read_text

RECORDS = "phjob-artifacts/retention"
FIRST_SEEN = "phjob-artifacts/first-seen"  # apart: the cleanup writes it, and shall not undo a decision made meanwhile

VERSION = 1
MAX_BYTES = 16 * 1024
MAX_NOTE = 1000  # characters
MAX_NAME = 256

FOREVER = 253402300799  # the end of the year 9999: what the expiry files and the PhJob's note say of pinned artifacts


@dataclass(frozen=True, slots=True)
class Pin:
    """Who pinned the artifacts, when (UNIX seconds), and why."""

    by: str
    at: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """Until when the artifacts are kept, and who decided that when; UNIX seconds."""

    until: int
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Record:
    """What people decided: a pin, an extension, both, or neither any more."""

    pin: Pin | None = None
    extension: Extension | None = None

    @property
    def until(self) -> int | None:
        """Until when people want the artifacts kept, apart from the pin."""
        return self.extension.until if self.extension else None


def records_prefix(group: str) -> str:
    """Where a group's records lie, by the names of the jobs: with no suffix, as those may be as long as a file's."""
    return f"{RECORDS}/{group_path(group)}/"


def record_key(group: str, job: str) -> str:
    """The key of a job's record."""
    return records_prefix(group) + check_job_name(job)


def sightings_prefix(group: str) -> str:
    """Where it lies when the cleanup first saw the group's job folders whose time of end nobody else knows."""
    return f"{FIRST_SEEN}/{group_path(group)}/"


def sighting_key(group: str, job: str) -> str:
    """The key of a job's: UNIX seconds, in the form of `expiredAt`."""
    return sightings_prefix(group) + check_job_name(job)


def format_record(record: Record) -> bytes:
    """The record as JSON."""
    return json.dumps({"version": VERSION, **asdict(record)}, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_record(content: bytes) -> Record:
    """Read a record; raise InvalidDocument where what it decides cannot be told for sure.

    Unknown fields, and missing words (who, why), do no harm.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("record", "it is no JSON") from error
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise InvalidDocument("record", f"it is not of version {VERSION}")
    pin, extension = _part(fields, "pin"), _part(fields, "extension")
    return Record(
        None if pin is None else Pin(_name(pin), _seconds(pin, "at", 0), read_text(pin.get("note"), MAX_NOTE)),
        None
        if extension is None
        else Extension(_seconds(extension, "until"), _name(extension), _seconds(extension, "at", 0)),
    )


def _part(fields: dict[str, Any], name: str) -> dict[str, Any] | None:
    part = fields.get(name)
    if part is not None and not isinstance(part, dict):
        raise InvalidDocument("record", f"{name} is not an object")
    return part


def _name(part: dict[str, Any]) -> str:
    return read_text(part.get("by"), MAX_NAME)


def _seconds(part: dict[str, Any], name: str, default: int | None = None) -> int:
    value = part.get(name)
    if type(value) is int and 0 <= value <= FOREVER:
        return value
    if default is None:
        raise InvalidDocument("record", f"{name} is no time")
    return default

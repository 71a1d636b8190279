"""The record of users' decisions about a job's artifacts: keys and format. Pure.

A pin and an extension are two objects: a store has no conditional writes, so changing one object by reading and writing
could lose another replica's write. They are outside `groups/`, where no job can write, and only `api.retention.service`
writes them. An unreadable record keeps the artifacts, so that no pin is lost.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.names import check_job_name, group_path
from artifacts.report import read_text

PINS = "phjob-artifacts/pins"
EXTENSIONS = "phjob-artifacts/extensions"
REMOVALS = "phjob-artifacts/removals"  # markers of removals in progress: their start, in the format of `expiredAt`
FIRST_SEEN = "phjob-artifacts/first-seen"  # when the cleanup first saw folders whose job's end is unknown

VERSION = 1
MAX_RECORD_BYTES = 16 * 1024
MAX_NOTE_CHARACTERS = 1000
MAX_NAME_CHARACTERS = 256

FOREVER = 253402300799  # the end of the year 9999: the expiry of pinned artifacts in expiry files and the annotation


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin: `by` whom, `at` when (UNIX seconds) and why. `until` is the expiry without the pin; 0 if unknown."""

    by: str
    at: int
    note: str = ""
    until: int = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension: the new expiry `until`, `by` whom and `at` when. Times are UNIX seconds.

    `early` marks an extension while the job ran, when the expiry without it was unknown.
    """

    until: int
    by: str
    at: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Users' decisions about one job's artifacts: a pin, an extension, both or neither."""

    pin: Pin | None = None
    extension: Extension | None = None

    @property
    def extended_until(self) -> int | None:
        """The extension's expiry, or None."""
        return self.extension.until if self.extension else None

    @property
    def replaces_default(self) -> bool:
        """Whether the extension is at least as long as the retention without it."""
        return self.extension is not None and not self.extension.early


def pin_key(group: str, job: str) -> str:
    """Return the key of a job's pin."""
    return _key(PINS, group, job)


def extension_key(group: str, job: str) -> str:
    """Return the key of a job's extension."""
    return _key(EXTENSIONS, group, job)


def removal_key(group: str, job: str) -> str:
    """Return the key of the marker that a job's artifacts are being removed."""
    return _key(REMOVALS, group, job)


def first_seen_key(group: str, job: str) -> str:
    """Return the key of the first-seen time: UNIX seconds, in the format of `expiredAt`."""
    return _key(FIRST_SEEN, group, job)


def format_decision(decision: Pin | Extension) -> bytes:
    """Format a pin or an extension as JSON."""
    return json.dumps({"version": VERSION, **asdict(decision)}, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_pin(content: bytes) -> Pin:
    """Parse a pin. Unknown and missing fields are ignored. Raises InvalidDocument if it is not a pin."""
    fields = _parse_object("pin", content)
    note = read_text(fields.get("note"), MAX_NOTE_CHARACTERS)
    return Pin(_name(fields), _seconds(fields, "at", 0), note, _seconds(fields, "until", 0))


def parse_extension(content: bytes) -> Extension:
    """Parse an extension. Unknown fields are ignored. Raises InvalidDocument if it has no valid `until`."""
    fields = _parse_object("extension", content)
    until, early = _seconds(fields, "until"), fields.get("early") is True
    return Extension(until, _name(fields), _seconds(fields, "at", 0), early)


def _key(prefix: str, group: str, job: str) -> str:
    """Build a key without a suffix: a job's name may already have the maximum length of a file name."""
    return f"{prefix}/{group_path(group)}/{check_job_name(job)}"


def _parse_object(kind: str, content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(kind, "it is not valid JSON") from error
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise InvalidDocument(kind, f"it must be a JSON object with version {VERSION}")
    return fields


def _name(fields: dict[str, Any]) -> str:
    return read_text(fields.get("by"), MAX_NAME_CHARACTERS)


def _seconds(fields: dict[str, Any], name: str, default: int | None = None) -> int:
    value = fields.get(name)
    if type(value) is int and 0 <= value <= FOREVER:
        return value
    if default is None:
        raise InvalidDocument("extension", f"`{name}` must be a UNIX time from 0 to {FOREVER}")
    return default

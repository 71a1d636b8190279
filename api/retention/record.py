"""The record of what people decided about a job's artifacts: its places, its form. Pure.

A pin and an extension are two objects: a store has no conditional writes, and one that is changed by reading and
writing would lose what another replica wrote meanwhile. They lie outside `groups/`, where no job can write, and only
`api.retention.service` writes them. One that cannot be read holds the artifacts: nobody loses what somebody pinned.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.names import check_job_name, group_path
from artifacts.report import read_text

PINS = "phjob-artifacts/pins"
EXTENSIONS = "phjob-artifacts/extensions"
REMOVALS = "phjob-artifacts/removals"  # marks of removals under way, with their beginning in the form of `expiredAt`
FIRST_SEEN = "phjob-artifacts/first-seen"  # when the cleanup first saw folders whose time of end nobody else knows

VERSION = 1
MAX_RECORD_BYTES = 16 * 1024
MAX_NOTE_CHARACTERS = 1000  # characters
MAX_NAME_CHARACTERS = 256

FOREVER = 253402300799  # the end of the year 9999: what the expiry files and the PhJob's note say of pinned artifacts


@dataclass(frozen=True, slots=True)
class Pin:
    """Who pinned the artifacts, when (UNIX seconds), and why. `until`: when they would have expired, 0: unknown."""

    by: str
    at: int
    note: str = ""
    until: int = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """Until when the artifacts are kept, and who decided that when; UNIX seconds.

    `early`: while the job ran, when nobody knew how long they would be kept anyway.
    """

    until: int
    by: str
    at: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What people decided: a pin, an extension, both, or neither any more."""

    pin: Pin | None = None
    extension: Extension | None = None

    @property
    def until(self) -> int | None:
        """Until when people want the artifacts kept, apart from the pin."""
        return self.extension.until if self.extension else None

    @property
    def stands_alone(self) -> bool:
        """Whether the extension is at least what the artifacts would have got without it."""
        return self.extension is not None and not self.extension.early


def pin_key(group: str, job: str) -> str:
    """The key of a job's pin."""
    return _key(PINS, group, job)


def extension_key(group: str, job: str) -> str:
    """The key of a job's extension."""
    return _key(EXTENSIONS, group, job)


def removal_key(group: str, job: str) -> str:
    """The key of the mark that a job's artifacts are being removed."""
    return _key(REMOVALS, group, job)


def first_seen_key(group: str, job: str) -> str:
    """The key of the time of first sight: UNIX seconds, in the form of `expiredAt`."""
    return _key(FIRST_SEEN, group, job)


def format_decision(part: Pin | Extension) -> bytes:
    """The object as JSON."""
    return json.dumps({"version": VERSION, **asdict(part)}, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_pin(content: bytes) -> Pin:
    """Read a pin; raise InvalidDocument where it is none for sure. Unknown fields, and missing ones, do no harm."""
    fields = _fields("pin", content)
    note = read_text(fields.get("note"), MAX_NOTE_CHARACTERS)
    return Pin(_name(fields), _seconds(fields, "at", 0), note, _seconds(fields, "until", 0))


def parse_extension(content: bytes) -> Extension:
    """Read an extension; raise InvalidDocument where it does not tell until when. Unknown fields do no harm."""
    fields = _fields("extension", content)
    until, early = _seconds(fields, "until"), fields.get("early") is True
    return Extension(until, _name(fields), _seconds(fields, "at", 0), early)


def _key(place: str, group: str, job: str) -> str:
    """By group and job, with no suffix: a job's name may be as long as a file's."""
    return f"{place}/{group_path(group)}/{check_job_name(job)}"


def _fields(kind: str, content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(kind, "it is no JSON") from error
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise InvalidDocument(kind, f"it is not of version {VERSION}")
    return fields


def _name(part: dict[str, Any]) -> str:
    return read_text(part.get("by"), MAX_NAME_CHARACTERS)


def _seconds(part: dict[str, Any], name: str, default: int | None = None) -> int:
    value = part.get(name)
    if type(value) is int and 0 <= value <= FOREVER:
        return value
    if default is None:
        raise InvalidDocument("extension", f"{name} is no time")
    return default

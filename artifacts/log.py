"""Structured logging for every part: one event, one line.

    2026-11-28T07:48:09.973Z INFO artifacts removed group=vision job=job-1 files=3 reason="expiredAt has passed"

That line, or the same as a JSON object if PHJOB_LOG_FORMAT is json, comes from an event name and keyword values:
`logger.info("artifacts removed", group=..., job=..., files=3, reason=...)`. Values that users choose are quoted, so
they can forge neither a line nor a key. Records of libraries are events without keys.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from artifacts.environment import Setting, choice

LOG_FORMAT = Setting(
    "log_format", "PHJOB_LOG_FORMAT", "text", choice("text", "json"), "format of log lines: text (key=value) or json"
)
MAX_VALUE_CHARACTERS = 1024  # the longest key of a store
MAX_TRACE_CHARACTERS = 16384
_OWN_ARGUMENTS = frozenset({"exc_info", "stack_info", "stacklevel"})  # of the standard library's methods

Fields = dict[str, Any]


class EventLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods take an event name and the event's fields as keyword values.

    The fields travel in the standard `extra={"fields": {...}}`, which a package that does not import this one may
    pass to an ordinary logger itself.
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Move the fields into `extra`."""
        own = {name: value for name, value in kwargs.items() if name in _OWN_ARGUMENTS}
        fields = {name: value for name, value in kwargs.items() if name not in _OWN_ARGUMENTS}
        return msg, {**own, "extra": {"fields": fields}}


def get_logger(name: str) -> EventLogger:
    """Return the logger for a module."""
    return EventLogger(logging.getLogger(name))


class LineFormatter(logging.Formatter):
    """Formats a record as one line of text or JSON.

    `common` is added to every line. `start` replaces time and level, for commands that log sentences to a person.
    """

    def __init__(self, form: str, common: Mapping[str, str] | None = None, start: str | None = None) -> None:
        super().__init__()
        self._is_json, self._common, self._start = form == "json", dict(common or {}), start

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a newline."""
        event, fields = read_record(record)
        fields = self._common | fields
        if self._is_json:
            head = {"time": _time(record), "level": record.levelname.lower(), "event": event}
            return json.dumps(head | fields)
        pairs = "".join(f" {key}={quote(value)}" for key, value in fields.items())
        if self._start is not None:
            return f"{self._start}{_printable(event)}{pairs}"
        return f"{_time(record)} {record.levelname} {_event(event)}{pairs}"


def configure_log(
    form: str, level: int = logging.INFO, common: Mapping[str, str] | None = None, start: str | None = None
) -> None:
    """Log to stderr as "text" or "json". Any other `form` means text; reading the settings reports it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form, common, start))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def adopt(name: str) -> None:
    """Route the records of a library with handlers of its own through ours."""
    logger = logging.getLogger(name)
    logger.handlers.clear()
    logger.propagate = True


def read_record(record: logging.LogRecord) -> tuple[str, Fields]:
    """Return a record's event and its fields; an exception adds the fields `error` and `trace`."""
    given = getattr(record, "fields", None)
    fields = {key: _value(value) for key, value in given.items()} if isinstance(given, dict) else {}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = f"{type(error).__name__}: {error}"[:MAX_VALUE_CHARACTERS]
        fields["trace"] = logging.Formatter().formatException(record.exc_info)[-MAX_TRACE_CHARACTERS:]
    return record.getMessage()[:MAX_VALUE_CHARACTERS], fields


def quote(value: object) -> str:
    """Return a value's text for a line: unchanged if it is plain, else as a JSON string in ASCII."""
    text = str(value)
    plain = text and text.isprintable() and not set(text) & set(' "\\=')
    return text if plain else json.dumps(text)


def _value(value: object) -> object:
    """Return numbers, booleans and None unchanged, and everything else as text of bounded length."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_VALUE_CHARACTERS]


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _event(event: str) -> str:
    """Return the event, quoted if a reader could take it for pairs."""
    return json.dumps(event) if "=" in event else _printable(event)


def _printable(text: str) -> str:
    """Return the text on one line, without characters that control a terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)

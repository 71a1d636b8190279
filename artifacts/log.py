"""What a log line looks like, for every part: one event, one line.

    2026-11-28T07:48:09.973Z INFO removed group=vision job=job-1 files=3 why="as its expiredAt says"

That, or a JSON object where PHJOB_LOG_FORMAT says so, is made of the ordinary call
`logger.info("removed group=%s job=%s files=%d why=%s", ...)`: the template is the event and then pairs `key=%s`.
So what users choose comes in as arguments alone, and is quoted here: it can forge neither a line nor a key.
"""

import functools
import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from artifacts.environment import Setting, choice

LOG_FORMAT = Setting(
    "log_format", "PHJOB_LOG_FORMAT", "text", choice("text", "json"), "form of the log's lines: text (key=value), json"
)
_MOST = 1024  # characters of a value; a key in the store is no longer
_MOST_TRACE = 16384
_PAIR = re.compile(r" (\w+)=(%[-+#0 ]*\d*(?:\.\d+)?[diouxXeEfFgGsra])(?= |$)")
_NUMERIC = frozenset("diouxXeEfFgG")

Fields = dict[str, Any]


class LineFormatter(logging.Formatter):
    """A line of either form. `common`: fields of every line. `start`: what a text line begins with, instead of time
    and level, where it is a command that speaks to a person, in sentences."""

    def __init__(self, form: str, common: Mapping[str, str] | None = None, start: str | None = None) -> None:
        super().__init__()
        self._is_json, self._common, self._start = form == "json", dict(common or {}), start

    def format(self, record: logging.LogRecord) -> str:
        event, fields = read_record(record)
        fields = self._common | fields
        if self._is_json:
            head = {"time": _time(record), "level": record.levelname.lower(), "event": event}
            return json.dumps(head | fields)
        pairs = "".join(f" {key}={quote(value)}" for key, value in fields.items())
        if self._start is not None:
            return f"{self._start}{_printable(event)}{pairs}"
        return f"{_time(record)} {record.levelname} {_told(event)}{pairs}"


def configure_log(
    form: str, level: int = logging.INFO, common: Mapping[str, str] | None = None, start: str | None = None
) -> None:
    """Log to stderr, in the form "text" or "json"; anything else is taken for text, and told by the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form, common, start))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def adopt(name: str) -> None:
    """Let what a library logs through handlers of its own come out in our form."""
    logger = logging.getLogger(name)
    logger.handlers.clear()
    logger.propagate = True


def read_record(record: logging.LogRecord) -> tuple[str, Fields]:
    """The event, and the fields by key."""
    fields: Fields = {}
    event = _event(record, fields)
    if record.exc_info and record.exc_info[1] is not None:
        problem = record.exc_info[1]
        fields["error"] = f"{type(problem).__name__}: {problem}"[:_MOST]
        fields["trace"] = logging.Formatter().formatException(record.exc_info)[-_MOST_TRACE:]
    return event, fields


def quote(value: object) -> str:
    """Its text as the value of a key: as it is where that is plain, else quoted, in ASCII, with everything escaped."""
    text = str(value)
    plain = text and text.isprintable() and not set(text) & set(' "\\=')
    return text if plain else json.dumps(text)


def _event(record: logging.LogRecord, fields: Fields) -> str:
    """The event; puts into `fields` what follows it. What is no template of ours is an event as a whole."""
    arguments = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    event, pairs = _split(str(record.msg))
    if not pairs or len(arguments) != len(pairs):
        return record.getMessage()[:_MOST]
    for (key, conversion), argument in zip(pairs, arguments, strict=True):
        fields[key] = _value(conversion, argument)
    return event


@functools.lru_cache(maxsize=1024)
def _split(template: str) -> tuple[str, list[tuple[str, str]]]:
    """The event of a template, and its pairs of key and conversion; none where that is not all there is."""
    first = _PAIR.search(template)
    if first is None:
        return template, []
    event, rest = template[: first.start()], template[first.start() :]
    is_whole = _PAIR.sub("", rest) == "" and "%" not in event
    return event, _PAIR.findall(rest) if is_whole else []


def _value(conversion: str, argument: object) -> object:
    """A number where one is told, else text."""
    if conversion[-1] in _NUMERIC:
        text = conversion % argument
        return float(text) if "." in conversion else int(text) if conversion == "%d" else text
    if conversion == "%s" and (argument is None or isinstance(argument, bool | int)):
        return argument
    return (conversion % (argument,))[:_MOST]


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _told(event: str) -> str:
    """Quoted where it could be taken for pairs."""
    return json.dumps(event) if "=" in event else _printable(event)


def _printable(text: str) -> str:
    """On one line, without what a terminal would take for an order."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)

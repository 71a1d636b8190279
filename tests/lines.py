"""Log records as lines of text, without time and level."""

import logging
from collections.abc import Iterable

from artifacts.log import LineFormatter

_FORMATTER = LineFormatter("text", start="")


def lines_of(records: Iterable[logging.LogRecord], logger: str = "") -> list[str]:
    """Return the lines of `logger`, or of all loggers."""
    return [_FORMATTER.format(record) for record in records if logger in ("", record.name)]

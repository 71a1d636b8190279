"""What was logged in a test, as the lines that people read, without time and level."""

import logging
from collections.abc import Iterable

from artifacts.log import LineFormatter

_FORM = LineFormatter("text", start="")


def lines_of(records: Iterable[logging.LogRecord], logger: str = "") -> list[str]:
    """Those of `logger`, or all."""
    return [_FORM.format(record) for record in records if logger in ("", record.name)]

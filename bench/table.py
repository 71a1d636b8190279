"""The table: what a row holds, how its numbers are written, and whether a goal is met.

Apart from the measuring, so that no measurement decides how it looks or what counts as met.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields


class BenchError(Exception):
    """Something that was measured did not do what it should have; its row says so."""


class Unavailable(Exception):
    """This machine lacks what a row needs; its row says what."""


@dataclass(frozen=True)
class Row:
    """One line. `ratio`: baseline / ours until our process has ended; `sealed`: until the sealed report is there."""

    what: str
    baseline: str = ""
    ours: str = ""
    ratio: str = ""
    sealed: str = ""
    goal: str = ""
    result: str = ""
    note: str = ""  # why there is no number; below the table


@dataclass(frozen=True)
class Goal:
    """A bound on a median, in `unit` ("x", " ms", " MB", " %")."""

    bound: float
    unit: str = "x"
    at_least: bool = True

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{self.unit}"

    def judge(self, value: float) -> str:
        """ "met" or "missed"."""
        return "met" if (value >= self.bound if self.at_least else value <= self.bound) else "missed"


_HEADINGS = Row("what", "baseline", "ours", "ratio (min-max)", "until sealed", "goal", "result")
_WIDTHS = Row("54", "9", "9", "21", "21", "10", "6")


def heading() -> str:
    """The table's first two lines."""
    return _line(_HEADINGS) + "\n" + _line(Row(*("-" * int(width) for width in _cells(_WIDTHS))))


def line(row: Row) -> str:
    """A row as a line of a Markdown table."""
    return _line(row)


def absent(what: str, reason: BenchError | Unavailable) -> Row:
    """A row without numbers, for what failed or cannot be measured here."""
    if isinstance(reason, Unavailable):
        return Row(what, ours="skipped", note=str(reason))
    return Row(what, ours="failed", result="missed", note=str(reason))


def duration(seconds: Sequence[float]) -> str:
    """The median, in ms or s."""
    middle = statistics.median(seconds)
    return f"{middle * 1000:.1f} ms" if middle < 1 else f"{middle:.2f} s"


def ratios(values: Sequence[float]) -> str:
    """Median and range of the ratios of pairs: `5.2x (4.8-6.1)`."""
    return f"{_short(statistics.median(values))}x ({_short(min(values))}-{_short(max(values))})"


def absolute(what: str, values: Sequence[float], unit: str, goal: float | None = None, baseline: str = "") -> Row:
    """A row of a number that is compared with a goal alone: median, and range where there are several."""
    middle = statistics.median(values)
    bound = None if goal is None else Goal(goal, unit, at_least=False)
    spread = f"({_short(min(values))}-{_short(max(values))}{unit})" if len(values) > 1 else ""
    return Row(
        what, baseline, f"{_short(middle)}{unit}", spread, "", str(bound or ""), bound.judge(middle) if bound else ""
    )


def compared(
    what: str, base: Sequence[float], ours: Sequence[float], sealed: Sequence[float] = (), goal: Goal | None = None
) -> Row:
    """A row of seconds, paired by round. `sealed`: seconds until the sealed report was there."""
    pairs = [old / new for old, new in zip(base, ours, strict=True)]
    until = [old / new for old, new in zip(base, sealed, strict=True)] if sealed else []
    return Row(
        what,
        duration(base),
        duration(ours),
        ratios(pairs),
        ratios(until) if until else "",
        str(goal or ""),
        goal.judge(statistics.median(pairs)) if goal else "",
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Row) -> list[str]:
    return [getattr(row, field.name) for field in fields(row) if field.name != "note"]


def _line(row: Row) -> str:
    return (
        "| "
        + " | ".join(cell.ljust(int(width)) for cell, width in zip(_cells(row), _cells(_WIDTHS), strict=True))
        + " |"
    )

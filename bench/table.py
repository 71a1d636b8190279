"""The table: the rows' fields, the format of numbers, and whether a goal is met."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields


class BenchError(Exception):
    """A measured program did not work as expected. Its row shows "failed"."""


class NotMeasurable(Exception):
    """This machine lacks a requirement of a measurement. Its row shows "skipped"."""


@dataclass(frozen=True)
class Row:
    """A row of the table. `ratio`: baseline / ours for the time until the process exits; `sealed`: until the seal.

    `note`: why there is no number, printed below the table.
    """

    name: str
    baseline: str = ""
    ours: str = ""
    ratio: str = ""
    sealed: str = ""
    goal: str = ""
    result: str = ""
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A bound on a median, in `unit` ("x", " ms", " MB", " %")."""

    bound: float
    unit: str = "x"
    at_least: bool = True

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{self.unit}"

    def judge(self, value: float) -> str:
        """Return "met" or "missed"."""
        return "met" if (value >= self.bound if self.at_least else value <= self.bound) else "missed"


_HEADINGS = Row("measurement", "baseline", "ours", "ratio (min-max)", "until sealed", "goal", "result")
_WIDTHS = Row("54", "9", "9", "21", "21", "10", "6")


def format_heading() -> str:
    """Return the table's first two lines."""
    return _line(_HEADINGS) + "\n" + _line(Row(*("-" * int(width) for width in _cells(_WIDTHS))))


def format_row(row: Row) -> str:
    """Return a row as a line of a Markdown table."""
    return _line(row)


def failed_row(name: str, error: BenchError | NotMeasurable) -> Row:
    """Return a row without numbers, for a measurement that failed or is not possible on this machine."""
    if isinstance(error, NotMeasurable):
        return Row(name, ours="skipped", note=str(error))
    return Row(name, ours="failed", result="missed", note=str(error))


def format_duration(seconds: Sequence[float]) -> str:
    """Return the median, in ms or s."""
    median = statistics.median(seconds)
    return f"{median * 1000:.1f} ms" if median < 1 else f"{median:.2f} s"


def format_ratios(values: Sequence[float]) -> str:
    """Return median and range of the ratios of pairs, such as `5.2x (4.8-6.1)`."""
    return f"{_short(statistics.median(values))}x ({_short(min(values))}-{_short(max(values))})"


def value_row(name: str, values: Sequence[float], unit: str, goal: float | None = None, baseline: str = "") -> Row:
    """Return a row for values that have no ratio to a baseline: the median, the range, and whether the goal is met."""
    median = statistics.median(values)
    bound = None if goal is None else Goal(goal, unit, at_least=False)
    spread = f"({_short(min(values))}-{_short(max(values))}{unit})" if len(values) > 1 else ""
    return Row(
        name, baseline, f"{_short(median)}{unit}", spread, "", str(bound or ""), bound.judge(median) if bound else ""
    )


def ratio_row(
    name: str, baseline: Sequence[float], ours: Sequence[float], sealed: Sequence[float] = (), goal: Goal | None = None
) -> Row:
    """Return a row for seconds that are paired by round. `sealed`: seconds until the sealed report was written."""
    pairs = [old / new for old, new in zip(baseline, ours, strict=True)]
    sealed_pairs = [old / new for old, new in zip(baseline, sealed, strict=True)] if sealed else []
    return Row(
        name,
        format_duration(baseline),
        format_duration(ours),
        format_ratios(pairs),
        format_ratios(sealed_pairs) if sealed_pairs else "",
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

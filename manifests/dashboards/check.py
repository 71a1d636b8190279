"""Asks a Prometheus what each panel would show, for a person to read."""

from collections.abc import Iterator
from typing import Any

import urllib3

from manifests.dashboards.boards import Query, queries

_STAND_INS = {"$__rate_interval": "5m", "$group": ".*"}  # for what Grafana fills in
_MOST_SERIES = 6


def plain(expression: str) -> str:
    """The expression without Grafana's variables."""
    for variable, value in _STAND_INS.items():
        expression = expression.replace(variable, value)
    return expression


def ask(url: str, expression: str) -> list[dict[str, Any]]:
    """The series that the Prometheus at `url` answers now. Raises ValueError with its words where it refuses."""
    fields = {"query": plain(expression)}
    answer = urllib3.request("GET", f"{url.rstrip('/')}/api/v1/query", fields=fields, timeout=30).json()
    if answer["status"] != "success":
        raise ValueError(f"{answer['error']}: {expression}")
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def told(url: str) -> Iterator[tuple[Query, str]]:
    """Each query with what is answered, as a text."""
    for query in queries():
        series = sorted(ask(url, query.expression), key=lambda each: -float(each["value"][1]))
        shown = [f"{_labels(each['metric'])}{each['value'][1]}" for each in series[:_MOST_SERIES]]
        more = f" and {len(series) - _MOST_SERIES} more" if len(series) > _MOST_SERIES else ""
        yield query, ", ".join(shown) + more if series else "NO DATA"


def _labels(metric: dict[str, str]) -> str:
    return "".join(f"{value} " for _, value in sorted(metric.items()))

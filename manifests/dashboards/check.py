"""Runs the queries of all panels against a Prometheus, for a person to check."""

from collections.abc import Iterator
from typing import Any

import urllib3

from manifests.dashboards.boards import PanelQuery, panel_queries

NO_DATA = "NO DATA"
_VARIABLES = {"$__rate_interval": "5m", "$group": ".*"}  # values for Grafana's variables
_MAX_SERIES = 6


def replace_variables(expression: str) -> str:
    """Replace Grafana's variables, so that Prometheus can evaluate the expression."""
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """Evaluate the expression now in the Prometheus at `url`. Raises ValueError with its error message."""
    fields = {"query": replace_variables(expression)}
    response = urllib3.request("GET", f"{url.rstrip('/')}/api/v1/query", fields=fields, timeout=30).json()
    if response["status"] != "success":
        raise ValueError(f"{response['error']}: {expression}")
    series: list[dict[str, Any]] = response["data"]["result"]
    return series


def query_results(url: str) -> Iterator[tuple[PanelQuery, str]]:
    """Yield each panel's query with its result as text: the highest values, or NO_DATA."""
    for panel_query in panel_queries():
        series = sorted(query(url, panel_query.expression), key=lambda item: -float(item["value"][1]))
        values = [f"{_labels(item['metric'])}{item['value'][1]}" for item in series[:_MAX_SERIES]]
        more = f" and {len(series) - _MAX_SERIES} more" if len(series) > _MAX_SERIES else ""
        yield panel_query, ", ".join(values) + more if series else NO_DATA


def _labels(metric: dict[str, str]) -> str:
    return "".join(f"{value} " for _, value in sorted(metric.items()))

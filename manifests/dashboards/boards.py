"""The dashboards by the names of their files, and the JSON that Grafana loads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from manifests.dashboards import groups, service
from manifests.dashboards.panels import Rows, board

FOLDER = Path(__file__).parent.parent / "components" / "dashboards"

ROWS: Mapping[str, Rows] = {"service": service.ROWS, "groups": groups.ROWS}


class Query(NamedTuple):
    """One expression of one panel, as it stands in the dashboard."""

    board: str
    title: str
    legend: str
    expression: str


def queries() -> Iterator[Query]:
    """All that the dashboards ask."""
    for name, rows in ROWS.items():
        for panel in (panel for panels in rows.values() for panel in panels):
            for legend, expression in panel.queries.items():
                yield Query(name, panel.title, legend, expression)


def build(name: str) -> str:
    """The dashboard's JSON."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_BUILDERS[name]().build()) + "\n"


def _service() -> dashboard.Dashboard:
    words = "Is the collector of jobs' artifacts healthy, what is being lost, how fast is it, how full."
    return board("phjob-artifacts-service", "Job artifacts: service", words, service.ROWS)


def _groups() -> dashboard.Dashboard:
    words = "How a group's jobs fare. Groups are told apart where PHJOB_METRICS_GROUPS is set on controller and API."
    found = board("phjob-artifacts-groups", "Job artifacts: groups", words, groups.ROWS)
    known = 'label_values({__name__=~"phjob_artifact_group_.+"}, group)'
    variable = (
        dashboard.QueryVariable("group").label("Group").query(known).multi(True).include_all(True).all_value(".*")
    )
    return found.with_variable(variable)


_BUILDERS = {"service": _service, "groups": _groups}

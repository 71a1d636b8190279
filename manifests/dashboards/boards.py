"""The dashboards by the names of their files, and the JSON that Grafana loads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from manifests.dashboards import groups, service
from manifests.dashboards.panels import Rows, make_dashboard

FOLDER = Path(__file__).parent.parent / "components" / "dashboards"

ROWS: Mapping[str, Rows] = {"service": service.ROWS, "groups": groups.ROWS}


class PanelQuery(NamedTuple):
    """One query of one panel. `expression` may contain Grafana's variables."""

    board: str
    title: str
    legend: str
    expression: str


def panel_queries() -> Iterator[PanelQuery]:
    """Yield the queries of all dashboards."""
    for name, rows in ROWS.items():
        for panel in (panel for panels in rows.values() for panel in panels):
            for legend, expression in panel.queries.items():
                yield PanelQuery(name, panel.title, legend, expression)


def dashboard_json(name: str) -> str:
    """Return the dashboard's JSON."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_BUILDERS[name]().build()) + "\n"


def _service() -> dashboard.Dashboard:
    description = "Health of the artifact collector: lost artifacts, speed, use of the store, cleanup and API."
    return make_dashboard("phjob-artifacts-service", "Job artifacts: service", description, service.ROWS)


def _groups() -> dashboard.Dashboard:
    description = (
        "Results and stored artifacts of each group's jobs. "
        "Requires PHJOB_METRICS_GROUPS to be set on the controller and the API."
    )
    builder = make_dashboard("phjob-artifacts-groups", "Job artifacts: groups", description, groups.ROWS)
    values = 'label_values({__name__=~"phjob_artifact_group_.+"}, group)'
    variable = (
        dashboard.QueryVariable("group").label("Group").query(values).multi(True).include_all(True).all_value(".*")
    )
    return builder.with_variable(variable)


_BUILDERS = {"service": _service, "groups": _groups}

"""The kinds of panels, and how they are assembled into a dashboard. A panel's title is the question that it answers.

Expressions must have a value on an idle or new installation too: 0 for a counter that has not counted yet. If a part is
down, panels about that part show "no data".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

DATA_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

# Grafana's $__rate_interval is the width of a point plus one scrape interval, but at least four scrape intervals. If
# points were closer than that, several points would include the same increase.
_MIN_INTERVAL = "5m"

_NO_DATA = "no data"

Queries = Mapping[str, str]  # expressions by legend; {{label}} in a legend is replaced by the label's value


@dataclass(frozen=True)
class Number:
    """A panel with the current value of each query.

    Values are orange from `warn` on and red from `bad` on; below them if `bad` < `warn`. `exactly`: any other value is
    red. `value_texts`: texts to show instead of values.
    """

    title: str
    queries: Queries
    unit: str = "short"
    warn: float | None = None
    bad: float | None = None
    exactly: int | None = None
    value_texts: Mapping[str, str] | None = None
    span: int = 4

    def build(self) -> stat.Panel:
        """Return the panel's builder."""
        panel = (
            stat.Panel()
            .title(self.title)
            .datasource(DATA_SOURCE)
            .unit(self.unit)
            .span(self.span)
            .height(4)
            .no_value(_NO_DATA)
            .graph_mode(common_models.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(_thresholds(self._steps()))
        )
        if self.value_texts:
            results = {value: models.ValueMappingResult(text=text) for value, text in self.value_texts.items()}
            panel.mappings([models.ValueMap(options=results)])
        for legend, expression in self.queries.items():
            panel.with_target(_query(legend, expression).instant())
        return panel

    def _steps(self) -> list[tuple[float | None, str]]:
        """Return the colours, each with the value from which it applies; None for the lowest."""
        if self.exactly is not None:
            return [(None, "red"), (self.exactly, "green"), (self.exactly + 1, "red")]
        falling = self.warn is not None and self.bad is not None and self.bad < self.warn
        if falling:
            return [(None, "red"), (self.bad, "orange"), (self.warn, "green")]
        steps = [(self.warn, "orange"), (self.bad, "red")]
        return [(None, "green"), *((value, colour) for value, colour in steps if value is not None)]


@dataclass(frozen=True)
class Graph:
    """A panel with values over time. `stacked`: show stacked bars, for counts that add up."""

    title: str
    queries: Queries
    unit: str = "short"
    stacked: bool = False
    span: int = 8

    def build(self) -> timeseries.Panel:
        """Return the panel's builder."""
        legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
        panel = (
            timeseries.Panel()
            .title(self.title)
            .datasource(DATA_SOURCE)
            .unit(self.unit)
            .span(self.span)
            .height(8)
            .min(0)
            .no_value(_NO_DATA)
            .legend(legend.display_mode(common_models.LegendDisplayMode.LIST))
            .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        )
        if self.stacked:
            panel.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(70)
            panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        if any("increase(" in expression for expression in self.queries.values()):
            panel.interval(_MIN_INTERVAL)
        for name, expression in self.queries.items():
            panel.with_target(_query(name, expression))
        return panel


Panel = Number | Graph
Rows = Mapping[str, list[Panel]]  # panels by the row's title


def make_dashboard(uid: str, title: str, description: str, rows: Rows) -> dashboard.Dashboard:
    """Return the builder of a dashboard with these rows, whose Prometheus can be selected in Grafana."""
    builder = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["phjob-artifacts"])
        .readonly()
        .time("now-6h", "now")
        .refresh("1m")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    ids = count(1)
    for name, panels in rows.items():
        builder.with_row(dashboard.Row(name).id(next(ids)))
        for panel in panels:
            builder.with_panel(panel.build().id(next(ids)))
    return builder


def _query(legend: str, expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(DATA_SOURCE)


def _thresholds(steps: list[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    thresholds = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)

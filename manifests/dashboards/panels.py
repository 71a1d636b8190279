"""Panels, each with the question that it answers as its title: the few forms that the dashboards are made of.

Expressions answer on an idle or fresh installation too: what has not been seen yet is 0, not a hole. Where a part is
down, what it alone tells has no answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as forms
from grafana_foundation_sdk.models import dashboard as models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

# Grafana's range is a point's width and one scrape more, but at least four scrapes: with points closer than that, what
# was counted once would be in several of them.
_COUNTED_OVER = "5m"

Queries = Mapping[str, str]  # expressions by legend, in which {{label}} is the label's value


@dataclass(frozen=True)
class Number:
    """One figure, or a few. Coloured from `warn` and `bad` on; below them, where those go down. `exactly`: the only
    count that is not red. `words`: for values."""

    title: str
    queries: Queries
    unit: str = "short"
    warn: float | None = None
    bad: float | None = None
    exactly: int | None = None
    words: Mapping[str, str] | None = None
    span: int = 4

    def build(self) -> stat.Panel:
        panel = (
            stat.Panel()
            .title(self.title)
            .datasource(SOURCE)
            .unit(self.unit)
            .span(self.span)
            .height(4)
            .no_value("no answer")
            .graph_mode(forms.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(_thresholds(self._steps()))
        )
        if self.words:
            results = {value: models.ValueMappingResult(text=text) for value, text in self.words.items()}
            panel.mappings([models.ValueMap(options=results)])
        for legend, query in self.queries.items():
            panel.with_target(_query(legend, query).instant())
        return panel

    def _steps(self) -> list[tuple[float | None, str]]:
        """Colours, each with the value from which on it holds; the first from anywhere."""
        if self.exactly is not None:
            return [(None, "red"), (self.exactly, "green"), (self.exactly + 1, "red")]
        falling = self.warn is not None and self.bad is not None and self.bad < self.warn
        if falling:
            return [(None, "red"), (self.bad, "orange"), (self.warn, "green")]
        steps = [(self.warn, "orange"), (self.bad, "red")]
        return [(None, "green"), *((value, colour) for value, colour in steps if value is not None)]


@dataclass(frozen=True)
class Graph:
    """Something over time. `stacked`: as bars on one another, for counts that add up."""

    title: str
    queries: Queries
    unit: str = "short"
    stacked: bool = False
    span: int = 8

    def build(self) -> timeseries.Panel:
        legend = common.VizLegendOptions().show_legend(True).placement(forms.LegendPlacement.BOTTOM)
        panel = (
            timeseries.Panel()
            .title(self.title)
            .datasource(SOURCE)
            .unit(self.unit)
            .span(self.span)
            .height(8)
            .min(0)
            .no_value("no answer")
            .legend(legend.display_mode(forms.LegendDisplayMode.LIST))
            .tooltip(common.VizTooltipOptions().mode(forms.TooltipDisplayMode.MULTI))
        )
        if self.stacked:
            panel.draw_style(forms.GraphDrawStyle.BARS).fill_opacity(70)
            panel.stacking(common.StackingConfig().mode(forms.StackingMode.NORMAL))
        if any("increase(" in query for query in self.queries.values()):
            panel.interval(_COUNTED_OVER)
        for name, query in self.queries.items():
            panel.with_target(_query(name, query))
        return panel


Panel = Number | Graph
Rows = Mapping[str, list[Panel]]  # by their titles


def board(uid: str, title: str, description: str, rows: Rows) -> dashboard.Dashboard:
    """A dashboard of these rows. It asks the Prometheus that is chosen on it."""
    found = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["phjob-artifacts"])
        .readonly()
        .time("now-6h", "now")
        .refresh("1m")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    numbers = count(1)
    for name, panels in rows.items():
        found.with_row(dashboard.Row(name).id(next(numbers)))
        for panel in panels:
            found.with_panel(panel.build().id(next(numbers)))
    return found


def _query(legend: str, expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE)


def _thresholds(steps: list[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)

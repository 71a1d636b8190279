"""The dashboards: committed as generated, with valid expressions on documented metrics, units and a sound layout."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from artifacts.settings import METRICS_GROUPS
from manifests.dashboards.boards import FOLDER, ROWS, dashboard_json, panel_queries
from manifests.dashboards.check import replace_variables
from tests.prometheus.rules import documented_series, promtool, rules

METRICS = Path("docs/metrics.md")
GRID_COLUMNS = 24
# Metrics without series until the first job runs, or until a group has stored or collected something.
WITHOUT_INITIAL_SERIES = ("_group_", "_sidecar_copied", "_sidecar_limit", "_sidecar_store")


def panels(name: str) -> list[dict[str, Any]]:
    """Return the panels in the committed JSON, including rows."""
    result: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["panels"]
    return result


@pytest.mark.parametrize("name", ROWS)
def test_committed_dashboards_are_up_to_date(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == dashboard_json(name), "run: make dashboards"


@pytest.mark.parametrize("name", ROWS)
def test_every_panel_has_a_question_a_unit_and_a_data_source(name: str) -> None:
    for panel in (panel for panel in panels(name) if panel["type"] != "row"):
        assert panel["title"].endswith("?"), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("name", ROWS)
def test_panels_have_unique_ids_and_do_not_overlap(name: str) -> None:
    all_panels = panels(name)
    assert len({panel["id"] for panel in all_panels}) == len(all_panels)
    occupied: set[tuple[int, int]] = set()
    for position in (panel["gridPos"] for panel in all_panels):
        cells = {(position["x"] + x, position["y"] + y) for x in range(position["w"]) for y in range(position["h"])}
        assert not cells & occupied
        assert max(x for x, _ in cells) < GRID_COLUMNS
        occupied |= cells


@pytest.mark.parametrize("name", ROWS)
def test_panels_do_not_mix_seconds_with_counts(name: str) -> None:
    for panel in (panel for panel in panels(name) if panel["type"] != "row"):
        seconds = {"_seconds_bucket" in target["expr"] for target in panel["targets"]}
        assert len(seconds) == 1, panel["title"]
        assert seconds == {False} or panel["fieldConfig"]["defaults"]["unit"] == "s", panel["title"]


@pytest.mark.parametrize("name", ROWS)
def test_panels_with_increases_have_an_interval_of_five_minutes(name: str) -> None:
    pattern = r"increase\(.*\$__rate_interval"
    with_increases = [panel for panel in panels(name) if re.search(pattern, str(panel.get("targets")))]
    assert len(with_increases) >= 2
    assert {panel.get("interval") for panel in with_increases} == {"5m"}


def test_every_metric_in_a_dashboard_is_documented() -> None:
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| (\w+) ", METRICS.read_text(), re.MULTILINE)
    documented = {name for name, kind in rows if kind not in ("histogram", "summary")}
    documented |= {
        f"{name}_{part}" for name, kind in rows if kind == "histogram" for part in ("bucket", "count", "sum")
    }
    used = {name for query in panel_queries() for name in re.findall(r"phjob_artifact_\w+", query.expression)}
    assert used <= documented, used - documented


def test_every_expression_is_valid(tmp_path: Path) -> None:
    panels = [
        {"record": f"panel:{number}", "expr": replace_variables(query.expression)}
        for number, query in enumerate(panel_queries())
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": panels}]}))
    promtool("check", "rules", path)


def test_panels_have_no_data_if_no_part_is_up(tmp_path: Path) -> None:
    expressions = {
        query.expression
        for query in panel_queries()
        if not any(name in query.expression for name in WITHOUT_INITIAL_SERIES)
    }
    assert len(expressions) > 40
    check_values(tmp_path, {}, dict.fromkeys(expressions))


def test_every_panel_has_data_on_a_new_installation(tmp_path: Path) -> None:
    series = [
        name
        for metric, all_of in documented_series().items()
        for name in all_of
        if not metric.startswith(WITHOUT_INITIAL_SERIES, 14)
    ]
    fresh = {f'{name}{{state="incomplete", le="+Inf"}}': 0.0 for name in series}
    check_values(tmp_path, fresh, {f"count({query.expression}) > bool 0": 1 for query in panel_queries()})


def test_free_share_is_the_minimum_of_all_replicas_and_one_for_a_bucket(tmp_path: Path) -> None:
    [free] = [query.expression for query in panel_queries() if query.title == "How much of the store is free?"]
    values = {"a": (100, 90), "b": (100, 10), "c": (0, 0)}
    size = {f'phjob_artifact_store_size_bytes{{pod="{pod}"}}': size for pod, (size, _) in values.items()}
    available = {f'phjob_artifact_store_available_bytes{{pod="{pod}"}}': value for pod, (_, value) in values.items()}
    check_values(tmp_path, size | available, {free: 0.1})
    check_values(tmp_path, dict.fromkeys(size | available, 0), {free: 1})


@pytest.mark.parametrize(("leaders", "colour"), [(0, "red"), (1, "green"), (2, "red"), (3, "red")])
def test_only_exactly_one_leader_is_green(leaders: int, colour: str) -> None:
    [panel] = [panel for panel in panels("service") if panel["title"] == "Is there exactly one leader?"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps if step["value"] is None or step["value"] <= leaders][-1] == colour


def check_values(folder: Path, series: Mapping[str, float], expected: Mapping[str, float | None]) -> None:
    """Check that each expression has one value without labels, or no value (None), for constant series."""
    tests = [
        {
            "expr": replace_variables(expression),
            "eval_time": "10m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expression, value in expected.items()
    ]
    inputs = [{"series": name, "values": f"{value:g}x20"} for name, value in series.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": tests}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", path)


def test_component_contains_both_dashboards_and_enables_group_metrics(tmp_path: Path) -> None:
    component = Path("manifests/components/dashboards").resolve()
    relative = Path(*[".."] * (len(tmp_path.parts) - 1), *component.parts[1:])
    overlay = {"resources": [str(relative.parent.parent / "base")], "components": [str(relative)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    kubectl = Path(sys.executable).with_name("kubectl")
    built = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, check=True).stdout
    documents = list(yaml.safe_load_all(built))
    config = next(document for document in documents if document["metadata"]["name"] == "phjob-artifacts-dashboards")
    assert config["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert config["data"] == {f"{name}.json": dashboard_json(name) for name in ROWS}
    with_group_metrics = [
        document for document in documents if f"name: {METRICS_GROUPS.env}\n" in yaml.safe_dump(document)
    ]
    assert [document["metadata"]["name"] for document in with_group_metrics] == [
        "phjob-artifacts-api",
        "phjob-artifacts-controller",
    ]


def test_gauges_that_all_api_replicas_share_are_never_summed() -> None:
    """Applies to dashboards and alerts. A sum would count each value once per replica."""
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| gauge \| [^|]*\| api \|", METRICS.read_text(), re.MULTILINE)
    shared = set(rows) - {"phjob_artifact_downloads_active"}
    assert len(shared) >= 14
    aggregates = {
        (name, aggregate_around(expression, match.start()))
        for expression in [*(query.expression for query in panel_queries()), *(rule["expr"] for rule in rules())]
        for match in re.finditer(r"phjob_artifact_\w+", expression)
        if (name := match.group()) in shared
    }
    assert {name for name, _ in aggregates} >= {"phjob_artifact_group_kept_bytes", "phjob_artifact_kept_bytes"}
    assert {(name, aggregate) for name, aggregate in aggregates if aggregate not in ("max", "min")} == set()


def aggregate_around(expression: str, position: int) -> str:
    """Return the innermost aggregate around that position of an expression, or ""."""
    depth = 0
    for index in range(position - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(expression[index], 0)
        if depth < 0:
            depth = 0
            call = re.search(r"\b(sum|count|avg|max|min)(?: by \([^)]*\))? ?$", expression[:index])
            if call:
                return call.group(1)
    return ""

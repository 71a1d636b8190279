"""The dashboards as they are committed: made from the code, asking for what there is, nowhere without a unit."""

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
from manifests.dashboards.boards import FOLDER, ROWS, build, queries
from manifests.dashboards.check import plain
from tests.prometheus.rules import documented, promtool, rules

METRICS = Path("docs/metrics.md")
COLUMNS = 24
# Whose series come with the first running job, or with the first group of which something is kept or counted.
LATER = ("_group_", "_sidecar_copied", "_sidecar_limit", "_sidecar_store")


def panels(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["panels"]
    return found


@pytest.mark.parametrize("name", ROWS)
def test_what_is_committed_is_what_the_code_makes(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == build(name), "run: make dashboards"


@pytest.mark.parametrize("name", ROWS)
def test_each_panel_is_a_question_with_a_unit_and_a_source(name: str) -> None:
    for panel in (each for each in panels(name) if each["type"] != "row"):
        assert panel["title"].endswith("?"), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("name", ROWS)
def test_panels_have_numbers_of_their_own_and_fill_rows_without_overlap(name: str) -> None:
    found = panels(name)
    assert len({panel["id"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in found):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells


@pytest.mark.parametrize("name", ROWS)
def test_a_panel_mixes_no_seconds_with_counts(name: str) -> None:
    for panel in (each for each in panels(name) if each["type"] != "row"):
        seconds = {"_seconds_bucket" in target["expr"] for target in panel["targets"]}
        assert len(seconds) == 1, panel["title"]
        assert seconds == {False} or panel["fieldConfig"]["defaults"]["unit"] == "s", panel["title"]


@pytest.mark.parametrize("name", ROWS)
def test_what_is_counted_between_points_is_counted_in_points_of_five_minutes_at_least(name: str) -> None:
    counting = [each for each in panels(name) if re.search(r"increase\(.*\$__rate_interval", str(each.get("targets")))]
    assert len(counting) >= 2
    assert {panel.get("interval") for panel in counting} == {"5m"}


def test_every_metric_that_is_asked_for_is_documented() -> None:
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| (\w+) ", METRICS.read_text(), re.MULTILINE)
    known = {name for name, kind in rows if kind not in ("histogram", "summary")}
    known |= {f"{name}_{part}" for name, kind in rows if kind == "histogram" for part in ("bucket", "count", "sum")}
    asked = {name for query in queries() for name in re.findall(r"phjob_artifact_\w+", query.expression)}
    assert asked <= known, asked - known


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    panels = [{"record": f"panel:{number}", "expr": plain(query.expression)} for number, query in enumerate(queries())]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": panels}]}))
    promtool("check", "rules", path)


def test_where_no_part_answers_no_panel_looks_healthy(tmp_path: Path) -> None:
    asked = {query.expression for query in queries() if not any(name in query.expression for name in LATER)}
    assert len(asked) > 40
    answers(tmp_path, {}, dict.fromkeys(asked))


def test_a_fresh_installation_leaves_no_panel_empty(tmp_path: Path) -> None:
    series = [name for metric, all_of in documented().items() for name in all_of if not metric.startswith(LATER, 14)]
    fresh = {f'{name}{{state="incomplete", le="+Inf"}}': 0.0 for name in series}
    answers(tmp_path, fresh, {f"count({query.expression}) > bool 0": 1 for query in queries()})


def test_what_is_free_is_the_least_that_a_replica_tells_and_all_of_a_bucket(tmp_path: Path) -> None:
    [free] = [query.expression for query in queries() if query.title == "How much of the store is free?"]
    told = {"a": (100, 90), "b": (100, 10), "c": (0, 0)}
    size = {f'phjob_artifact_store_size_bytes{{pod="{pod}"}}': size for pod, (size, _) in told.items()}
    rest = {f'phjob_artifact_store_available_bytes{{pod="{pod}"}}': rest for pod, (_, rest) in told.items()}
    answers(tmp_path, size | rest, {free: 0.1})
    answers(tmp_path, dict.fromkeys(size | rest, 0), {free: 1})


@pytest.mark.parametrize(("leaders", "colour"), [(0, "red"), (1, "green"), (2, "red"), (3, "red")])
def test_exactly_one_leader_is_green(leaders: int, colour: str) -> None:
    [panel] = [each for each in panels("service") if each["title"] == "Does exactly one controller lead?"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps if step["value"] is None or step["value"] <= leaders][-1] == colour


def answers(folder: Path, series: Mapping[str, float], expected: Mapping[str, float | None]) -> None:
    """Each expression answers one value without labels, or (None) nothing, while these series stay as they are."""
    looks = [
        {
            "expr": plain(expression),
            "eval_time": "10m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expression, value in expected.items()
    ]
    inputs = [{"series": name, "values": f"{value:g}x20"} for name, value in series.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": looks}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", path)


def test_the_component_gives_grafana_both_and_tells_groups_apart(tmp_path: Path) -> None:
    component = Path("manifests/components/dashboards").resolve()
    way = Path(*[".."] * (len(tmp_path.parts) - 1), *component.parts[1:])
    overlay = {"resources": [str(way.parent.parent / "base")], "components": [str(way)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    kubectl = Path(sys.executable).with_name("kubectl")
    built = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, check=True).stdout
    documents = list(yaml.safe_load_all(built))
    config = next(each for each in documents if each["metadata"]["name"] == "phjob-artifacts-dashboards")
    assert config["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert config["data"] == {f"{name}.json": build(name) for name in ROWS}
    telling = [each for each in documents if f"name: {METRICS_GROUPS.env}\n" in yaml.safe_dump(each)]
    assert [each["metadata"]["name"] for each in telling] == ["phjob-artifacts-api", "phjob-artifacts-controller"]


def test_what_every_replica_of_the_api_tells_alike_is_never_added_up() -> None:
    """Of boards and of alerts: the sum of such a gauge is as many times too high as there are replicas."""
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| gauge \| [^|]*\| api \|", METRICS.read_text(), re.MULTILINE)
    alike = set(rows) - {"phjob_artifact_downloads_active"}
    assert len(alike) >= 14
    found = {
        (name, aggregate_around(expression, match.start()))
        for expression in [*(query.expression for query in queries()), *(rule["expr"] for rule in rules())]
        for match in re.finditer(r"phjob_artifact_\w+", expression)
        if (name := match.group()) in alike
    }
    assert {name for name, _ in found} >= {"phjob_artifact_group_kept_bytes", "phjob_artifact_kept_bytes"}
    assert {(name, aggregate) for name, aggregate in found if aggregate not in ("max", "min")} == set()


def aggregate_around(expression: str, place: int) -> str:
    """The innermost aggregate around that place of an expression, or ""."""
    depth = 0
    for index in range(place - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(expression[index], 0)
        if depth < 0:
            depth = 0
            call = re.search(r"\b(sum|count|avg|max|min)(?: by \([^)]*\))? ?$", expression[:index])
            if call:
                return call.group(1)
    return ""

"""The dashboards as they are committed: made from the code, asking for what there is, nowhere without a unit."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from artifacts.scrape import METRICS_GROUPS
from manifests.dashboards.boards import FOLDER, ROWS, build, queries
from manifests.dashboards.check import plain
from tests.machine import require
from tests.prometheus.rules import rules

METRICS = Path("docs/metrics.md")
COLUMNS = 24


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


def test_every_metric_that_is_asked_for_is_documented() -> None:
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| (\w+) ", METRICS.read_text(), re.MULTILINE)
    known = {name for name, kind in rows if kind not in ("histogram", "summary")}
    known |= {f"{name}_{part}" for name, kind in rows if kind == "histogram" for part in ("bucket", "count", "sum")}
    asked = {name for query in queries() for name in re.findall(r"phjob_artifact_\w+", query.expression)}
    assert asked <= known, asked - known


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    require(program, "promtool (Debian's package prometheus)")
    rules = [{"record": f"panel:{number}", "expr": plain(query.expression)} for number, query in enumerate(queries())]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    found = subprocess.run([str(program), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


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

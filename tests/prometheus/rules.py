"""Reads the committed Prometheus rules, and the series that docs/metrics.md documents."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.machine import require

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "manifests/components/prometheus"
RULES = sorted((COMPONENT / "rules").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/runbooks.md"
METRICS = (ROOT / "docs/metrics.md").read_text()

Rule = dict[str, Any]

_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


def groups() -> list[dict[str, Any]]:
    """Return the rule groups of all files."""
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules() -> Iterator[Rule]:
    """Yield all recording and alerting rules."""
    for group in groups():
        yield from group["rules"]


def alerts() -> dict[str, Rule]:
    """Return the alerting rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def documented_series() -> dict[str, set[str]]:
    """Return the names of the series of each metric in docs/metrics.md, by the metric's name."""
    rows = re.findall(r"^\| `(phjob_artifact_\w+)` \| (\w+) ", METRICS, re.MULTILINE)
    return {name: {name + suffix for suffix in _SUFFIXES.get(kind, ("",))} for name, kind in rows}


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return its output. Fails with the output if promtool reports an error."""
    program = shutil.which("promtool")
    require(program, "promtool (Debian's package prometheus)")
    command = [str(program), *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout

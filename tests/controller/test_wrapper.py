"""PrimeHub's wrapper in main: injection stops its copy and leaves its monitoring alone."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller.inject.injection import inject
from controller.inject.wrapper import NO_SOURCE, SOURCE_VARIABLE
from tests.controller.pod_samples import NEW, SETTINGS, Document, injected, make_pod, primehub_pod

PRIMEHUB = Path(__file__).parents[1] / "primehub"
JOB = "mkdir -p artifacts/sub && echo kept > artifacts/sub/f && exit 3"


def main_of(pod: Document) -> Document:
    (main,) = pod["spec"]["containers"]
    return dict(main)


def run_main(pod: Document, home: Path) -> list[str]:
    """Run main's wrapper in a shell, with its variables. Return the paths that it left in the job folder."""
    main, target = main_of(pod), home / "phfs"
    target.mkdir(parents=True)
    assert main["command"][0].endswith("/run-job.sh")
    environ = {variable["name"]: variable["value"] for variable in main["env"]}
    environ |= {"PATH": os.environ["PATH"], "ARTIFACTS_DEST": str(target)}
    environ["MONITORING_AGENT"] = str(PRIMEHUB / "primehub-monitoring-agent")
    command = [str(PRIMEHUB / "run-job.sh"), JOB]
    process = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert (process.returncode, process.stderr) == (3, "")
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())


def test_without_the_sidecar_the_wrapper_copies(tmp_path: Path) -> None:
    assert run_main(primehub_pod(), tmp_path) == [".metadata/expiredAt", ".metadata/monitoring", "sub/f"]


def test_beside_the_sidecar_the_wrapper_monitors_and_copies_nothing(tmp_path: Path) -> None:
    assert run_main(injected(primehub_pod()), tmp_path) == [".metadata/monitoring"]
    assert "datasets" in json.loads((tmp_path / "phfs/.metadata/monitoring").read_text())


def test_nobody_can_create_the_wrappers_source() -> None:
    with pytest.raises(NotADirectoryError):
        os.makedirs(NO_SOURCE)


FROM_CONFIG = {"name": SOURCE_VARIABLE, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}


@pytest.mark.parametrize(
    "env",
    [
        None,
        [],
        [{"name": SOURCE_VARIABLE, "value": "artifacts"}],
        [FROM_CONFIG],
        [FROM_CONFIG, {"name": "A", "value": "b"}, {"name": SOURCE_VARIABLE, "value": "artifacts"}],
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        {"command": ["/scripts/run-job.sh", "sleep 1"]},
        {"command": ["/vault/env"], "args": ["/scripts/run-job.sh", "sleep 1"]},
    ],
)
def test_the_wrapper_is_diverted_whatever_its_environment(env: list[Document] | None, command: dict[str, Any]) -> None:
    once = injected(make_pod(main={"env": env, **command}))
    diverted = {"name": SOURCE_VARIABLE, "value": NO_SOURCE}
    assert main_of(once)["env"] == [*(env or []), diverted]
    assert inject(once, SETTINGS, NEW).pod == once


def test_a_main_without_the_wrapper_keeps_its_environment() -> None:
    env = [{"name": SOURCE_VARIABLE, "value": "mine"}, {"name": "PHJOB_ARTIFACT_ENABLED", "value": "true"}]
    assert main_of(injected(make_pod(main={"env": env, "command": ["sh", "-c", "true"]})))["env"] == env


@pytest.mark.parametrize("value", ["true", "yes", "1"])
def test_the_switch_of_primehubs_monitoring_is_unchanged(value: str) -> None:
    env = [{"name": "PHJOB_ARTIFACT_ENABLED", "value": value}]
    main = main_of(injected(make_pod(main={"env": env, "command": ["/scripts/run-job.sh", "true"]})))
    assert main["env"][0] == env[0]

"""Jobs over a limit: nothing is stored, or as many files as the limit allows, and the result is reported."""

import pytest

from tests.e2e.system import System

MANY = "mkdir artifacts; cd artifacts; for n in $(seq 1001); do echo $n > $n; done"
LARGE = "mkdir artifacts; cd artifacts; for name in a b c; do head -c 600K /dev/zero > $name; done; echo small > d"
ONE_MB = {"primehub.io/artifact-limit-size-mb": "1"}
KEEP = {"primehub.io/artifact-over-limit": "keep"}
NAMES = ["limit-many", "limit-large", "limit-keep"]


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    """Start all jobs together."""
    system.create_job("limit-many", MANY)
    system.create_job("limit-large", LARGE, ONE_MB)
    system.create_job("limit-keep", LARGE, ONE_MB | KEEP)


@pytest.mark.parametrize(("name", "files"), [("limit-many", 1001), ("limit-large", 4)])
def test_job_over_a_limit_is_rejected_and_reported(system: System, name: str, files: int) -> None:
    status = system.wait_ended(name)
    assert (status["phase"], status["artifact"]["state"], status["artifact"]["files"]) == ("Succeeded", "rejected", 0)
    assert system.store.files(name) == {}
    assert f"{files} files" in system.events(name)["ArtifactsRejected"]
    artifact = system.api.artifact(name)
    assert (artifact["state"], artifact["items"]) == ("rejected", [])
    assert artifact["report"]["found"]["files"] == files


def test_job_with_over_limit_keep_stores_the_files_that_fit(system: System) -> None:
    status = system.wait_ended("limit-keep")
    assert (status["artifact"]["state"], status["artifact"]["files"]) == ("sealed", 2)
    assert system.store.files("limit-keep").keys() == {"a", "d"}
    assert system.api.names("limit-keep") == {"a", "d"}
    [skipped] = system.api.artifact("limit-keep")["report"]["skipped"]
    assert (skipped["reason"], skipped["paths"]) == ("over_limit", ["b", "c"])


def test_jobs_over_a_limit_are_counted(system: System) -> None:
    system.wait_all_ended(NAMES)
    metrics = system.metrics("controller")
    assert metrics["phjob_artifact_over_limit_total"] >= 3
    assert metrics['phjob_artifact_results_total{reason="over_limit",state="rejected"}'] >= 2

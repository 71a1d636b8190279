"""More than is allowed: nothing is kept, or what fits; either way it is said."""

import pytest

from tests.e2e.system import System

MANY = "mkdir artifacts; cd artifacts; for n in $(seq 1001); do echo $n > $n; done"
LARGE = "mkdir artifacts; cd artifacts; for each in a b c; do head -c 600K /dev/zero > $each; done; echo small > d"
ONE_MB = {"primehub.io/artifact-limit-size-mb": "1"}
KEEP = {"primehub.io/artifact-over-limit": "keep"}
NAMES = ["limit-many", "limit-large", "limit-keep"]


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    system.create_job("limit-many", MANY)
    system.create_job("limit-large", LARGE, ONE_MB)
    system.create_job("limit-keep", LARGE, ONE_MB | KEEP)


@pytest.mark.parametrize(("name", "files"), [("limit-many", 1001), ("limit-large", 4)])
def test_past_a_limit_nothing_is_kept_and_it_is_said(system: System, name: str, files: int) -> None:
    status = system.ended(name)
    assert (status["phase"], status["artifact"]["state"], status["artifact"]["files"]) == ("Succeeded", "rejected", 0)
    assert system.store.files(name) == {}
    assert f"{files} files" in system.events(name)["ArtifactsRejected"]
    artifact = system.service.artifact(name)
    assert (artifact["state"], artifact["items"]) == ("rejected", [])
    assert artifact["report"]["found"]["files"] == files


def test_a_job_that_asks_for_it_keeps_what_fits(system: System) -> None:
    status = system.ended("limit-keep")
    assert (status["artifact"]["state"], status["artifact"]["files"]) == ("sealed", 2)
    assert system.store.files("limit-keep").keys() == {"a", "d"}
    assert system.service.names("limit-keep") == {"a", "d"}
    [skipped] = system.service.artifact("limit-keep")["report"]["skipped"]
    assert (skipped["reason"], skipped["paths"]) == ("over_limit", ["b", "c"])


def test_they_are_counted(system: System) -> None:
    system.all_ended(NAMES)
    counted = system.metrics("controller")
    assert counted["phjob_artifact_over_limit_total"] >= 3
    assert counted['phjob_artifact_results_total{reason="over_limit",state="rejected"}'] >= 2

"""Jobs end in many ways; each keeps what its end leaves time for, and what is told is what it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.kubectl import kubectl
from tests.e2e.system import SIDECAR, System, ended_state, summary_of

LEAVE = "mkdir -p artifacts; echo kept > artifacts/f"
FILES = {"f": "kept\n"}
STAY = f"trap 'exit 0' TERM; {LEAVE}; sleep 1000 & wait"
# A shell as the container's first process ignores SIGTERM by itself.
DEAF = f"{LEAVE}; sleep 1000; true"
COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "end-evicted": (f"{LEAVE}; sleep 8; head -c 300M /dev/zero > big; sleep 1000; true", {}),
    "end-true": ("true", {}),
    "end-quick": (LEAVE, {}),
    "end-seven": (f"{LEAVE}; exit 7", {}),
    "end-overdue": (STAY, {"activeDeadlineSeconds": 6}),
    "end-cancelled": (STAY, {}),
    "end-deaf": (DEAF, {}),
    "end-at-once": (DEAF, {}),
}
HUNGRY = f"{LEAVE}; exec python3 -c 'x = bytearray(10**9)'"


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    """All of them, started together."""
    for name, (command, spec) in COMMANDS.items():
        system.create_job(name, command, **spec)
    with little_memory(system):
        system.create_job("end-hungry", HUNGRY)
        system.wait(lambda: "end-hungry" in system.pods(), "the pod of end-hungry")
    pod = system.pod("end-pod-overdue", "sh", "-c", STAY)
    pod["spec"]["activeDeadlineSeconds"] = 15  # the pod's time, not main's
    system.create_pod(pod)


@contextmanager
def little_memory(system: System) -> Iterator[None]:
    """Containers that ask for no other limit get 64 MiB."""
    limit = {"type": "Container", "default": {"memory": "64Mi"}, "defaultRequest": {"memory": "16Mi"}}
    with system.objects("limitranges") as ranges:
        ranges.create({"metadata": {"name": "little"}, "spec": {"limits": [limit]}})
        yield
        ranges.delete("little")


def test_a_job_that_leaves_nothing_has_nothing_in_the_store(system: System) -> None:
    status = system.ended("end-true")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "empty")
    assert system.store.tree("end-true") == {}
    assert "NoArtifacts" in system.events("end-true")


def test_a_job_that_ends_before_its_sidecar_is_ready_is_collected(system: System) -> None:
    status = system.ended("end-quick")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "sealed")
    assert system.store.files("end-quick") == FILES


def test_a_job_that_fails_is_collected(system: System) -> None:
    status = system.ended("end-seven")
    assert (status["phase"], status["reason"], status["exitCode"]) == ("Failed", "PodFailed", 7)
    assert status["artifact"]["state"] == "sealed"
    assert system.store.files("end-seven") == FILES


def test_a_job_out_of_memory_is_collected(system: System) -> None:
    status = system.ended("end-hungry")
    assert (status["phase"], status["exitCode"], status["artifact"]["state"]) == ("Failed", 137, "sealed")
    # Killed right after its start, its runtime may not know why (containerd's issue 8180).
    assert re.search(r"\((OOMKilled|killed, probably out of memory)\)$", status["message"])
    assert system.store.files("end-hungry") == FILES


def test_a_job_that_is_cancelled_is_collected(system: System) -> None:
    system.wait(lambda: system.job("end-cancelled").get("status", {}).get("phase") == "Running", "end-cancelled runs")
    system.service.ask('mutation { cancelPhJob(where: {id: "end-cancelled"}) { id } }')
    status = system.ended("end-cancelled")
    assert (status["phase"], status["reason"], status["artifact"]["state"]) == ("Cancelled", "Cancelled", "sealed")
    assert system.store.files("end-cancelled") == FILES


def test_a_job_past_its_deadline_is_collected(system: System) -> None:
    status = system.ended("end-overdue")
    assert (status["phase"], status["reason"]) == ("Failed", "OverActivateDeadline")
    assert status["artifact"]["state"] == "sealed"
    assert system.store.files("end-overdue") == FILES
    assert "OverActivateDeadline" in system.events("end-overdue")


def test_a_pod_past_its_own_deadline_is_collected(system: System) -> None:
    pod = system.pod_ended("end-pod-overdue")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert summary_of(pod)["state"] == "sealed"
    assert system.store.files("end-pod-overdue") == FILES


def test_a_deleted_pod_whose_main_does_not_listen_is_collected(system: System) -> None:
    system.wait(lambda: system.job("end-deaf").get("status", {}).get("phase") == "Running", "end-deaf runs")
    kubectl("-n", system.namespace, "delete", "pod", "end-deaf", "--grace-period=8")
    status = system.ended("end-deaf")
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "sealed")
    assert system.store.files("end-deaf") == FILES
    assert system.store.report("end-deaf")["sealedAt"]


def test_a_pod_that_is_killed_at_once_keeps_what_had_been_copied(system: System) -> None:
    system.wait(lambda: system.store.files("end-at-once") == FILES, "the first copy of end-at-once")
    kubectl("-n", system.namespace, "delete", "pod", "end-at-once", "--grace-period=0", "--force")
    status = system.ended("end-at-once")
    assert status["phase"] == "Failed"
    assert status["artifact"]["state"] in ("unknown", "incomplete")
    assert {"ArtifactsUnknown", "ArtifactsIncomplete"} & system.events("end-at-once").keys()
    assert system.store.files("end-at-once") == FILES
    assert system.service.names("end-at-once") == {"f"}


def test_an_evicted_job_keeps_what_had_been_copied(system: System) -> None:
    status = system.ended("end-evicted")
    assert (status["phase"], status["reason"]) == ("Failed", "PodFailed")
    assert "Evicted" in status["message"]
    # On a busy node the kubelet may lose sight of containers that it evicts, and says so.
    is_lost = ended_state(system.pods()["end-evicted"], SIDECAR).get("reason") == "ContainerStatusUnknown"
    assert status["artifact"]["state"] in (["unknown"] if is_lost else ["sealed", "incomplete"])
    assert system.store.files("end-evicted") == FILES
    assert system.service.names("end-evicted") == {"f"}


def test_every_end_is_told_alike_by_the_phjob_by_graphql_and_by_the_report(system: System) -> None:
    for name, status in system.all_ended([*COMMANDS, "end-hungry"]).items():
        told, report = status["artifact"], system.store.report(name)
        if told["state"] != "unknown":  # when the report is all that is left
            assert system.service.artifact(name)["state"] == told["state"], name
        if told["state"] == "sealed":
            assert (report["state"], report["collected"]["files"]) == ("sealed", told["files"])
        assert report.get("state") != "sealed" or report["sealedAt"]
    assert system.store.report("end-true") == {}


def test_every_end_is_counted(system: System) -> None:
    system.all_ended([*COMMANDS, "end-hungry"])
    counted = system.metrics("controller")
    assert counted['phjob_artifact_results_total{reason="none",state="sealed"}'] >= 5
    assert counted['phjob_artifact_results_total{reason="none",state="empty"}'] >= 1
    assert counted["phjob_artifact_collected_files_total"] >= 5
    assert counted['phjob_artifact_reconciles_total{result="error"}'] == 0


def test_the_sidecar_ends_well_whatever_became_of_main(system: System) -> None:
    system.all_ended(["end-quick", "end-seven", "end-hungry"])
    pods = system.pods()
    for name in ("end-quick", "end-seven", "end-hungry"):
        assert ended_state(pods[name], SIDECAR)["exitCode"] == 0

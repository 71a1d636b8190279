"""Jobs that end in different ways: the files are collected if there is time, and the result is reported correctly."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.kubectl import kubectl
from tests.e2e.system import SIDECAR, System, terminated_state, termination_summary

WRITE_FILE = "mkdir -p artifacts; echo kept > artifacts/f"
FILES = {"f": "kept\n"}
RUN_UNTIL_SIGTERM = f"trap 'exit 0' TERM; {WRITE_FILE}; sleep 1000 & wait"
# A shell that is a container's first process ignores SIGTERM.
IGNORE_SIGTERM = f"{WRITE_FILE}; sleep 1000; true"
COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "end-evicted": (f"{WRITE_FILE}; sleep 8; head -c 300M /dev/zero > big; sleep 1000; true", {}),
    "end-true": ("true", {}),
    "end-quick": (WRITE_FILE, {}),
    "end-seven": (f"{WRITE_FILE}; exit 7", {}),
    "end-overdue": (RUN_UNTIL_SIGTERM, {"activeDeadlineSeconds": 6}),
    "end-cancelled": (RUN_UNTIL_SIGTERM, {}),
    "end-ignores-sigterm": (IGNORE_SIGTERM, {}),
    "end-forced": (IGNORE_SIGTERM, {}),
}
USE_MEMORY = f"{WRITE_FILE}; exec python3 -c 'x = bytearray(10**9)'"


@pytest.fixture(scope="module", autouse=True)
def jobs(system: System) -> None:
    """Start all jobs together."""
    for name, (command, spec) in COMMANDS.items():
        system.create_job(name, command, **spec)
    with memory_limit(system):
        system.create_job("end-hungry", USE_MEMORY)
        system.wait(lambda: "end-hungry" in system.pods(), "the pod of end-hungry")
    pod = system.pod("end-pod-overdue", "sh", "-c", RUN_UNTIL_SIGTERM)
    pod["spec"]["activeDeadlineSeconds"] = 15  # of the pod, not of the PhJob
    system.create_pod(pod)


@contextmanager
def memory_limit(system: System) -> Iterator[None]:
    """Limit containers without their own limit to 64 MiB."""
    limit = {"type": "Container", "default": {"memory": "64Mi"}, "defaultRequest": {"memory": "16Mi"}}
    with system.objects("limitranges") as ranges:
        ranges.create({"metadata": {"name": "little"}, "spec": {"limits": [limit]}})
        yield
        ranges.delete("little")


def test_job_without_artifacts_stores_nothing(system: System) -> None:
    status = system.wait_ended("end-true")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "empty")
    assert system.store.tree("end-true") == {}
    assert "NoArtifacts" in system.events("end-true")


def test_job_that_ends_before_its_sidecar_is_ready_is_collected(system: System) -> None:
    status = system.wait_ended("end-quick")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "sealed")
    assert system.store.files("end-quick") == FILES


def test_failed_job_is_collected(system: System) -> None:
    status = system.wait_ended("end-seven")
    assert (status["phase"], status["reason"], status["exitCode"]) == ("Failed", "PodFailed", 7)
    assert status["artifact"]["state"] == "sealed"
    assert system.store.files("end-seven") == FILES


def test_job_out_of_memory_is_collected(system: System) -> None:
    status = system.wait_ended("end-hungry")
    assert (status["phase"], status["exitCode"], status["artifact"]["state"]) == ("Failed", 137, "sealed")
    # If main is killed right after its start, containerd may not report the reason (its issue 8180).
    assert re.search(r"\((OOMKilled|killed, probably out of memory)\)$", status["message"])
    assert system.store.files("end-hungry") == FILES


def test_cancelled_job_is_collected(system: System) -> None:
    system.wait(lambda: system.job("end-cancelled").get("status", {}).get("phase") == "Running", "end-cancelled runs")
    system.api.query('mutation { cancelPhJob(where: {id: "end-cancelled"}) { id } }')
    status = system.wait_ended("end-cancelled")
    assert (status["phase"], status["reason"], status["artifact"]["state"]) == ("Cancelled", "Cancelled", "sealed")
    assert system.store.files("end-cancelled") == FILES


def test_job_past_its_deadline_is_collected(system: System) -> None:
    status = system.wait_ended("end-overdue")
    assert (status["phase"], status["reason"]) == ("Failed", "OverActivateDeadline")
    assert status["artifact"]["state"] == "sealed"
    assert system.store.files("end-overdue") == FILES
    assert "OverActivateDeadline" in system.events("end-overdue")


def test_pod_past_its_own_deadline_is_collected(system: System) -> None:
    pod = system.wait_pod_ended("end-pod-overdue")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert termination_summary(pod)["state"] == "sealed"
    assert system.store.files("end-pod-overdue") == FILES


def test_deleted_pod_whose_main_ignores_sigterm_is_collected(system: System) -> None:
    system.wait(
        lambda: system.job("end-ignores-sigterm").get("status", {}).get("phase") == "Running",
        "end-ignores-sigterm runs",
    )
    kubectl("-n", system.namespace, "delete", "pod", "end-ignores-sigterm", "--grace-period=8")
    status = system.wait_ended("end-ignores-sigterm")
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "sealed")
    assert system.store.files("end-ignores-sigterm") == FILES
    assert system.store.report("end-ignores-sigterm")["sealedAt"]


def test_force_deleted_pod_keeps_the_files_copied_before(system: System) -> None:
    system.wait(lambda: system.store.files("end-forced") == FILES, "the first copy of end-forced")
    kubectl("-n", system.namespace, "delete", "pod", "end-forced", "--grace-period=0", "--force")
    status = system.wait_ended("end-forced")
    assert status["phase"] == "Failed"
    assert status["artifact"]["state"] in ("unknown", "incomplete")
    assert {"ArtifactsUnknown", "ArtifactsIncomplete"} & system.events("end-forced").keys()
    assert system.store.files("end-forced") == FILES
    assert system.api.names("end-forced") == {"f"}


def test_evicted_job_keeps_the_files_copied_before(system: System) -> None:
    status = system.wait_ended("end-evicted")
    assert (status["phase"], status["reason"]) == ("Failed", "PodFailed")
    assert "Evicted" in status["message"]
    # On a busy node, the kubelet may not know the status of evicted containers, and reports that.
    is_lost = terminated_state(system.pods()["end-evicted"], SIDECAR).get("reason") == "ContainerStatusUnknown"
    assert status["artifact"]["state"] in (["unknown"] if is_lost else ["sealed", "incomplete"])
    assert system.store.files("end-evicted") == FILES
    assert system.api.names("end-evicted") == {"f"}


def test_phjob_graphql_and_report_agree_on_every_end(system: System) -> None:
    for name, status in system.wait_all_ended([*COMMANDS, "end-hungry"]).items():
        artifact, report = status["artifact"], system.store.report(name)
        if artifact["state"] != "unknown":  # then the API can use only the report
            assert system.api.artifact(name)["state"] == artifact["state"], name
        if artifact["state"] == "sealed":
            assert (report["state"], report["collected"]["files"]) == ("sealed", artifact["files"])
        assert report.get("state") != "sealed" or report["sealedAt"]
    assert system.store.report("end-true") == {}


def test_every_end_is_counted(system: System) -> None:
    system.wait_all_ended([*COMMANDS, "end-hungry"])
    metrics = system.metrics("controller")
    assert metrics['phjob_artifact_results_total{reason="none",state="sealed"}'] >= 5
    assert metrics['phjob_artifact_results_total{reason="none",state="empty"}'] >= 1
    assert metrics["phjob_artifact_collected_files_total"] >= 5
    assert metrics['phjob_artifact_reconciles_total{result="error"}'] == 0


def test_sidecar_exits_with_0_whether_main_succeeds_or_fails(system: System) -> None:
    system.wait_all_ended(["end-quick", "end-seven", "end-hungry"])
    pods = system.pods()
    for name in ("end-quick", "end-seven", "end-hungry"):
        assert terminated_state(pods[name], SIDECAR)["exitCode"] == 0

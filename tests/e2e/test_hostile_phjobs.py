"""PhJobs of a user who wants to harm others: bounds of the CRD, names, commands, finalizers and forged statuses."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kube import errors
from tests.e2e.system import System

LONGEST_COMMAND = 131_071
COUNT = 40  # large PhJobs
PHJOBS = ("phjobs", "primehub.io", "v1alpha1")


def metadata_merge(system: System, name: str, metadata: dict[str, Any]) -> None:
    with system.objects(*PHJOBS) as phjobs:
        phjobs.merge(name, {"metadata": metadata})


@pytest.mark.parametrize(
    ("name", "command", "problem"),
    [
        ("n" * 212, "true", "more than 211 characters"),
        ("too-long", "#" * (LONGEST_COMMAND + 1), "131071"),
        ("too-many-bytes", "#" + "é" * (LONGEST_COMMAND // 2 + 1), "at most 131071 bytes"),
    ],
)
def test_the_crd_refuses_jobs_that_can_never_run(system: System, name: str, command: str, problem: str) -> None:
    with pytest.raises(errors.Invalid, match=problem):
        system.create_job(name, command)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("n" * (217 - len("phjobs")), "mkdir artifacts; echo 1 > artifacts/1"),
        ("longest-command", "mkdir artifacts; echo 1 > artifacts/1 #".ljust(LONGEST_COMMAND, "x")),
    ],
)
def test_the_longest_names_and_commands_run(system: System, name: str, command: str) -> None:
    system.create_job(name, command)
    status = system.wait_ended(name)
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "sealed")


@pytest.fixture
def held(system: System) -> Iterator[str]:
    """A running job with a finalizer, which is removed at the end."""
    name = system.create_job("hostile-finalizer", "mkdir artifacts; echo 1 > artifacts/1; sleep 1000")
    metadata_merge(system, name, {"finalizers": ["hostile.example/hold"]})
    system.wait(lambda: system.job(name).get("status", {}).get("phase") == "Running", "the job runs")
    yield name
    metadata_merge(system, name, {"finalizers": None})


def test_a_finalizer_does_not_keep_a_deleted_job_running(system: System, held: str) -> None:
    with system.objects(*PHJOBS) as phjobs:
        phjobs.delete(held)
    status = system.wait_ended(held)
    assert (status["phase"], status["message"]) == ("Cancelled", "Cancelled because the PhJob was deleted")
    assert status["artifact"]["state"] == "sealed"
    system.wait(lambda: held not in system.pods(), "the pod is gone")


def test_annotations_as_large_as_the_api_server_accepts_do_not_fail_a_job(system: System) -> None:
    annotations = {"primehub.io/artifact-note": "a" * 262_000}
    name = system.create_job("hostile-annotations", "mkdir artifacts; echo 1 > artifacts/1", annotations)
    status = system.wait_ended(name)
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "sealed")
    assert "primehub.io/artifact-note" in system.events(name)["AnnotationsIgnored"]


def test_a_forged_status_neither_deletes_the_phjob_nor_repeats_events(system: System) -> None:
    name = system.create_job("hostile-status", "true", ttlSecondsAfterFinished=3600)
    system.wait_ended(name)
    with system.objects(*PHJOBS) as phjobs:
        for number in range(30):
            forged = {"state": "syncing", "podUid": f"forged-{number}"}
            phjobs.merge(name, {"status": {"finishTime": "0001-01-01T00:00:00Z", "artifact": forged}}, "status")
            time.sleep(0.2)
    system.wait_ended(name)
    system.wait(lambda: not system.job(name)["status"]["finishTime"].startswith("0001"), "the controller corrects it")
    with system.objects("events") as events:
        selectors = {"fieldSelector": f"involvedObject.kind=PhJob,involvedObject.name={name}"}
        assert sum(len(page.items) for page in events.pages(selectors)) <= 12


def test_a_pod_that_cannot_start_is_explained(system: System) -> None:
    """The Secret of this pod's volume does not exist, which only the kubelet's Events say."""
    name = "hostile-stuck"
    pod = system.pod(name)
    pod["spec"]["volumes"].append({"name": "none", "secret": {"secretName": "no-such-secret"}})
    # The kubelet ignores volumes that no container mounts.
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "none", "mountPath": "/none"})
    with system.objects(*PHJOBS) as phjobs, system.objects("pods") as pods:
        pods.create(pod)  # before the PhJob, so that the controller does not create another one
        uid = system.job(system.create_job(name, "true"))["metadata"]["uid"]
        owner = {"apiVersion": "primehub.io/v1alpha1", "kind": "PhJob", "name": name, "uid": uid, "controller": True}
        pods.merge(name, {"metadata": {"ownerReferences": [owner]}})

        def message() -> str:
            return str(system.job(name).get("status", {}).get("message", ""))

        system.wait(lambda: "FailedMount" in message(), message, seconds=120)
        phjobs.delete(name)


def test_large_phjobs_do_not_restart_the_controller(system: System) -> None:
    """After a restart, it lists all of them. tests/test_memory.py measures the memory with more."""
    labels = {f"hostile.example/{number:030}": "v" * 60 for number in range(4500)}
    metadata = {"labels": labels, "annotations": {"a": "a" * 250_000}}
    names = [f"hostile-large-{number}" for number in range(COUNT)]
    spec = {"groupName": system.group, "image": system.image, "command": "x" * LONGEST_COMMAND, "cancel": True}
    with system.objects(*PHJOBS) as phjobs, system.objects("pods") as pods:
        base = {"apiVersion": "primehub.io/v1alpha1", "kind": "PhJob"}
        for name in names:
            phjobs.create({**base, "metadata": {**metadata, "name": name}, "spec": spec})
        controllers = system.pods_of("controller")
        for pod in controllers:
            pods.delete(pod)
        system.wait(lambda: not set(controllers) & set(system.pods_of("controller")), "new controllers")
        last = system.create_job("hostile-after", "true")
        assert system.wait_ended(last)["phase"] == "Succeeded"
        system.wait(
            lambda: all(system.job(name).get("status", {}).get("phase") == "Cancelled" for name in names), "their ends"
        )
        for pod in system.pods_of("controller"):
            (container,) = system.pods()[pod]["status"]["containerStatuses"]
            assert container["restartCount"] == 0
        for name in names:
            phjobs.delete(name)

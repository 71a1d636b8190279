"""PhJobs in Kubernetes: read from a cache, and written through it."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from api.errors import BadInput, NotFoundError, ServiceUnavailable
from api.jobs.job import MAX_CACHED_COMMAND, ArtifactStatus, Draft, Job, parse_cached_job
from api.jobs.kubernetes import KubernetesJobs, is_pod_active
from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from kube.informer import InformerTiming
from tests.kube.apiserver import ApiServer

PATH = "/apis/primehub.io/v1alpha1/namespaces/hub/phjobs"
PODS = "/api/v1/namespaces/hub/pods"
QUICK = InformerTiming(initial_delay_seconds=0.01, max_delay_seconds=0.05)
DRAFT = Draft("My job", "Group_A", "echo 1", "u1", "user")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def jobs(server: ApiServer, clock: list[float]) -> Iterator[KubernetesJobs]:
    """A started source; it has synced unless the server has no PhJobs."""
    client = server.client()
    source = KubernetesJobs(client, "hub", timing=QUICK, clock=lambda: clock[0])
    source.start()
    if not server.missing:
        until(lambda: is_available(source), "the first list")
    yield source
    source.stop()
    client.close()


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def is_available(jobs: KubernetesJobs) -> bool:
    try:
        jobs.check()
    except ServiceUnavailable:
        return False
    return True


def phjob(group: str = "a", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    return {"spec": {"groupName": group, "command": "true", **spec}, "status": {"phase": phase}}


def pod(phase: str, main: str = "terminated", sidecar: str = "terminated") -> dict[str, Any]:
    return {
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "state": {main: {}}}],
            "initContainerStatuses": [{"name": "collector", "state": {sidecar: {}}}],
        }
    }


def put(server: ApiServer, jobs: KubernetesJobs, name: str, document: dict[str, Any]) -> Job:
    """Put a PhJob and wait until the watch delivers it."""
    uid, phase = server.put(f"{PATH}/{name}", document)["metadata"]["uid"], document["status"]["phase"]
    until(lambda: any((job.uid, job.phase) == (uid, phase) for job in jobs.all()), "the watch")
    return next(job for job in jobs.all() if job.uid == uid)


def test_reads_use_the_cache(server: ApiServer, jobs: KubernetesJobs) -> None:
    put(server, jobs, "one", phjob("a"))
    put(server, jobs, "two", phjob("b", "Succeeded"))
    request_count = len(server.requests)
    for _ in range(50):
        assert {job.id: (job.group, job.phase) for job in jobs.all()} == {
            "one": ("a", "Running"),
            "two": ("b", "Succeeded"),
        }
        assert jobs.get("none") is None
        assert jobs.get("../hub/one") is None
    assert len(server.requests) == request_count


def test_jobs_of_other_namespaces_are_ignored(server: ApiServer, jobs: KubernetesJobs) -> None:
    server.put(PATH.replace("/hub/", "/other/") + "/theirs", phjob())
    put(server, jobs, "ours", phjob())
    assert [job.id for job in jobs.all()] == ["ours"]


def test_malformed_phjobs_do_not_hide_others(server: ApiServer, jobs: KubernetesJobs) -> None:
    strange: list[dict[str, Any]] = [{"spec": []}, {"spec": {"groupName": {}, "command": 7}, "status": "x"}, {}]
    for number, odd in enumerate(strange):
        server.put(f"{PATH}/odd-{number}", odd)
    put(server, jobs, "good", phjob())
    assert {job.id: job.group for job in jobs.all()} == {"odd-0": "", "odd-1": "", "odd-2": "", "good": "a"}


def test_created_job_is_readable_at_once_with_all_its_fields(server: ApiServer, jobs: KubernetesJobs) -> None:
    server.script.add("half_open", lambda request: request.is_watch, times=10**6)
    server.cut()
    option = ("primehub.io/artifact-retention-seconds", "3600")
    job = jobs.create(Draft("My job", "Group_A", "echo 1", "u1", "user", "python:3", "cpu-1", 60, (option,)))
    assert jobs.get(job.id) == replace(job, options=())
    assert jobs.read(job) == job
    assert (job.options, job.retention_seconds) == ((option,), 3600)
    assert re.fullmatch(r"job-\d{12}-[0-9a-z]{6}", job.id)
    assert next(request.body for request in server.requests if request.method == "POST") == {
        "apiVersion": "primehub.io/v1alpha1",
        "kind": "PhJob",
        "metadata": {"name": job.id, "annotations": dict([option])},
        "spec": {
            "displayName": "My job",
            "userId": "u1",
            "userName": "user",
            "groupId": "Group_A",
            "groupName": "Group_A",
            "instanceType": "cpu-1",
            "image": "python:3",
            "command": "echo 1",
            "activeDeadlineSeconds": 60,
        },
    }
    assert (job.phase, job.active_deadline_seconds) == ("Pending", 60)


def test_missing_deadline_is_not_sent(server: ApiServer, jobs: KubernetesJobs) -> None:
    jobs.create(DRAFT)
    posted = [request.body for request in server.requests if request.method == "POST"]
    assert "activeDeadlineSeconds" not in posted[0]["spec"]


def test_taken_name_is_retried_with_another(server: ApiServer, jobs: KubernetesJobs, monkeypatch: Any) -> None:
    names = iter(["job-1", "job-1", "job-2"])
    monkeypatch.setattr("api.jobs.kubernetes.new_job_name", lambda: next(names))
    assert [jobs.create(DRAFT).id, jobs.create(DRAFT).id] == ["job-1", "job-2"]


def test_invalid_group_is_rejected_without_a_request(server: ApiServer, jobs: KubernetesJobs) -> None:
    with pytest.raises(BadInput, match="group"):
        jobs.create(Draft("x", "../other", "true", "u", "user"))
    assert [request for request in server.requests if request.method == "POST"] == []


def test_user_gets_the_clusters_validation_error(server: ApiServer, jobs: KubernetesJobs) -> None:
    for code, message in (
        (422, 'PhJob "x" is invalid: spec.image: Required value'),
        (403, 'admission webhook "quota" denied the request: no GPUs are left'),
        (403, 'phjobs.primehub.io "x" is forbidden: exceeded quota: jobs'),
    ):
        refuse(server, "POST", code, message)
        with pytest.raises(BadInput) as caught:
            jobs.create(DRAFT)
        assert str(caught.value) == message


def refuse(server: ApiServer, method: str, code: int, message: str) -> None:
    """Make the server refuse the next request with this method."""
    server.script.add("status", lambda request: request.method == method, code=code, message=message)


def test_missing_permission_is_reported_and_details_are_only_logged(
    server: ApiServer, jobs: KubernetesJobs, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(server, "POST", 403, 'phjobs.primehub.io is forbidden: User "system:x" cannot create resource "phjobs"')
    with pytest.raises(
        ServiceUnavailable, match=r"lacks the permission to create phjobs\.primehub\.io: .* grant"
    ) as caught:
        jobs.create(DRAFT)
    assert "system:x" not in str(caught.value)
    assert "system:x" in caplog.text


def test_cancel_is_visible_at_once(server: ApiServer, jobs: KubernetesJobs) -> None:
    job = put(server, jobs, "one", phjob())
    jobs.cancel(job)
    current = jobs.get("one")
    assert current
    assert (current.cancel, current.command) == (True, "true")


def test_cancelling_an_ended_job_does_nothing(server: ApiServer, jobs: KubernetesJobs) -> None:
    jobs.cancel(put(server, jobs, "one", phjob(phase="Failed")))
    assert [request for request in server.requests if request.method == "PATCH"] == []


def test_deleted_or_recreated_job_is_not_cancelled(server: ApiServer, jobs: KubernetesJobs) -> None:
    job = put(server, jobs, "one", phjob())
    server.remove(f"{PATH}/one")
    with pytest.raises(NotFoundError, match='"one" not found'):
        jobs.cancel(job)
    put(server, jobs, "one", phjob())
    with pytest.raises(NotFoundError, match='"one" not found'):
        jobs.cancel(job)
    jobs.annotate_expiry(job, 1234)
    current = jobs.get("one")
    assert current
    assert (current.cancel, current.annotated_expiry) == (False, 0)


def test_expiry_is_annotated_once_beside_other_annotations(server: ApiServer, jobs: KubernetesJobs) -> None:
    job = put(server, jobs, "one", {**phjob(), "metadata": {"annotations": {"other": "1"}}})
    for _ in range(3):
        jobs.annotate_expiry(job, 1790000000)
    patches = [request for request in server.requests if request.method == "PATCH"]
    assert len(patches) == 1
    current = jobs.get("one")
    assert current
    assert current.annotated_expiry == 1790000000
    server.remove(f"{PATH}/one")
    until(lambda: jobs.get("one") is None, "the watch")
    jobs.annotate_expiry(job, 1)
    assert patches[0].body["metadata"]["annotations"] == {EXPIRY_ANNOTATION: "1790000000"}


def test_missing_artifacts_are_annotated_until_they_are_back(server: ApiServer, jobs: KubernetesJobs) -> None:
    put(server, jobs, "one", phjob())
    for since in (1790000000, 1790000005, 0, 0):
        current = jobs.get("one")
        assert current
        jobs.annotate_missing(current, since)
    bodies = [request.body["metadata"]["annotations"] for request in server.requests if request.method == "PATCH"]
    assert bodies == [{MISSING_ANNOTATION: "1790000000"}, {MISSING_ANNOTATION: None}]
    current = jobs.get("one")
    assert current
    assert current.missing_since == 0


@pytest.mark.parametrize(
    ("phase", "pod_", "collecting"),
    [
        ("Running", None, True),
        ("Pending", None, True),
        ("Succeeded", None, False),
        ("Cancelled", None, False),
        ("Succeeded", pod("Running", "terminated", "running"), True),
        ("Succeeded", pod("Running"), True),
        ("Succeeded", pod("Succeeded"), False),
        ("Failed", pod("Failed", "running"), True),
        ("Failed", pod("Failed", "terminated", "running"), True),
        ("Failed", pod("Failed", "waiting", "terminated"), False),
        ("Failed", pod("Unknown"), True),
        ("Failed", {"status": {"phase": "Failed"}}, False),
        ("Failed", {"status": {"phase": "Failed", "containerStatuses": None}}, False),
        ("Failed", {}, True),
        ("Running", pod("Succeeded"), True),
    ],
)
def test_job_is_collecting_while_a_container_or_the_job_runs(
    server: ApiServer, jobs: KubernetesJobs, phase: str, pod_: dict[str, Any] | None, collecting: bool
) -> None:
    job = put(server, jobs, "one", phjob(phase=phase))
    if pod_ is not None:
        server.put(f"{PODS}/one", pod_)
        assert is_pod_active(pod_) or not collecting or phase == "Running"
    assert jobs.is_collecting(job) is collecting


def test_recreated_running_job_is_collecting(server: ApiServer, jobs: KubernetesJobs) -> None:
    job = put(server, jobs, "one", phjob(phase="Succeeded"))
    server.remove(f"{PATH}/one")
    until(lambda: jobs.get("one") is None, "the watch")
    assert not jobs.is_collecting(job)
    put(server, jobs, "one", phjob(phase="Running"))
    assert jobs.is_collecting(job)


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_is_collecting_raises_if_the_pod_cannot_be_read(server: ApiServer, jobs: KubernetesJobs, code: int) -> None:
    job = put(server, jobs, "one", phjob(phase="Succeeded"))
    message = 'pods is forbidden: User "system:x" cannot get resource "pods"'
    server.script.add("status", lambda request: request.path.startswith(PODS), code=code, message=message)
    with pytest.raises(ServiceUnavailable):
        jobs.is_collecting(job)


def test_reads_fail_before_the_first_list(server: ApiServer) -> None:
    server.script.add("status", lambda request: request.is_list, times=10**6, code=503)
    client = server.client()
    jobs = KubernetesJobs(client, "hub", timing=QUICK)
    for read in (jobs.check, jobs.all, lambda: jobs.get("one")):
        with pytest.raises(ServiceUnavailable, match="being listed"):
            read()
    jobs.start()
    until(lambda: "cannot be reached" in refusal(jobs), "the failure")
    server.script.clear()
    until(lambda: refusal(jobs) == "", "the list")
    jobs.stop()
    client.close()


def refusal(jobs: KubernetesJobs) -> str:
    try:
        jobs.check()
    except ServiceUnavailable as error:
        return str(error)
    return ""


def test_missing_crd_is_reported_until_it_is_installed(server: ApiServer) -> None:
    server.missing.add("phjobs")
    client = server.client()
    jobs = KubernetesJobs(client, "hub", timing=QUICK)
    jobs.start()
    until(lambda: "no resource phjobs.primehub.io" in refusal(jobs), "the missing permission is reported")
    with pytest.raises(ServiceUnavailable, match=r"no resource phjobs\.primehub\.io"):
        jobs.create(DRAFT)
    server.missing.clear()
    until(lambda: refusal(jobs) == "", "the list")
    jobs.stop()
    client.close()


def test_missing_permission_to_list_is_reported(server: ApiServer) -> None:
    server.script.add("status", lambda request: request.is_list, times=10**6, code=403)
    client = server.client()
    jobs = KubernetesJobs(client, "hub", timing=QUICK)
    jobs.start()
    until(
        lambda: "lacks the permission to list phjobs.primehub.io in hub" in refusal(jobs),
        "the missing permission is reported",
    )
    jobs.stop()
    client.close()


def test_reads_fail_if_the_watch_is_silent_for_five_minutes(
    server: ApiServer, jobs: KubernetesJobs, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    put(server, jobs, "one", phjob())
    server.script.add("status", lambda _: True, times=10**6, code=503)
    server.cut()
    until(lambda: sum(request.is_watch for request in server.requests) > 1, "the watch broke")
    clock[0] += 299
    assert jobs.get("one")
    clock[0] += 2
    for read in (jobs.check, jobs.all, lambda: jobs.get("one")):
        with pytest.raises(ServiceUnavailable, match="sent nothing"):
            read()
    server.script.clear()
    until(lambda: refusal(jobs) == "", "the server is back")
    assert jobs.get("one")


def test_long_commands_are_read_from_the_api_server(server: ApiServer, jobs: KubernetesJobs) -> None:
    command = "echo 1; " * 1000
    cached = put(server, jobs, "long", phjob(command=command))
    assert cached.is_shortened
    assert cached.command == command[:MAX_CACHED_COMMAND] + " ..."
    assert jobs.read(cached).command == command
    for changed in (replace(cached, uid="other"), replace(cached, group="other")):
        with pytest.raises(NotFoundError):
            jobs.read(changed)
    server.remove(f"{PATH}/long")
    with pytest.raises(NotFoundError):
        jobs.read(cached)


def test_a_cached_job_is_small_however_large_the_resource_is() -> None:
    long = "\U0001f600" * 300_000  # 4 bytes for each character
    texts = ("displayName", "userId", "userName", "groupName", "image", "instanceType", "command")
    status = dict.fromkeys(("phase", "reason", "message", "startTime", "finishTime"), long)
    artifact = {"state": long, "reason": long, "message": long}
    options = {f"primehub.io/artifact-{name}": long for name in ("include", "exclude", "limit-files", "result")}
    job = parse_cached_job(
        {
            "metadata": {"name": long, "uid": long, "creationTimestamp": long, "labels": {long: long}}
            | {"annotations": options | {long: long}},
            "spec": dict.fromkeys(texts, long),
            "status": {**status, "artifact": artifact, "other": {long: long}},
        }
    )
    values = [getattr(job, field.name) for field in fields(job)]
    artifact_values = [getattr(job.artifact_status, field.name) for field in fields(ArtifactStatus)]
    assert sum(map(sys.getsizeof, [*values, *artifact_values])) < 96 * 1024

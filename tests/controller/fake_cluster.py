"""A fake cluster for tests of the reconciler: an API server that injects sidecars, and a kubelet that runs pods.

Main's command decides how it ends: `sleep` runs until the pod is deleted, `exit N` exits with N, others exit with 0.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from controller.inject.container import COMMAND
from controller.injection_pauses import CONFIG_MAP
from tests.controller.objects import ended, rfc3339, running, summary
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.objectstore import ApiError, Document

PHJOBS = "/apis/primehub.io/v1alpha1/namespaces/ns/phjobs"
PODS = "/api/v1/namespaces/ns/pods"
NAMESPACE = "/api/v1/namespaces/ns"
PAUSES = f"/api/v1/namespaces/ns/configmaps/{CONFIG_MAP}"
EVENTS = "/api/v1/namespaces/ns/events"


class FakeCluster:
    """The API server's objects. `created` are the UIDs of all pods that were created, by job."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.inject, self.missed_reviews = server, True, 0
        self.refuse: Callable[[Document], None] = lambda _: None
        self.change: Callable[[Document], None] = lambda _: None  # as a webhook that runs after the injecting one
        self.created: dict[str, list[str]] = {}
        server.create_handlers["pods"] = self._create
        server.put(PAUSES, {"metadata": {}})
        server.put(NAMESPACE, {"metadata": {"labels": {"team": "a"}}})

    def add_job(self, name: str, command: str = "true", **fields: Any) -> None:
        spec = {"groupName": "Team_A", "userName": "ann", "image": "python", "command": command}
        self.server.put(f"{PHJOBS}/{name}", {"metadata": {}, "spec": spec | fields.pop("spec", {}), **fields})

    def artifact(self, name: str) -> Document:
        """Return `status.artifact`."""
        return self.status(name).get("artifact") or {}

    def result(self, name: str) -> Document:
        """Return the artifact status in the annotation."""
        annotations = self.job(name)["metadata"].get("annotations") or {}
        result: Document = json.loads(annotations.get("primehub.io/artifact-result", "{}"))
        return result

    def job(self, name: str) -> Document:
        return self.server.objects.get(parse_path(f"{PHJOBS}/{name}"))

    def change_job(self, name: str, **spec: Any) -> None:
        job = self.job(name)
        self.server.put(f"{PHJOBS}/{name}", {**job, "spec": {**job["spec"], **spec}})

    def status(self, name: str) -> Document:
        return self.job(name).get("status") or {}

    def phase(self, name: str) -> tuple[str | None, str | None]:
        """Return the phase and the state of the artifacts."""
        status = self.status(name)
        return status.get("phase"), (status.get("artifact") or {}).get("state")

    def pods(self) -> list[Document]:
        return self.server.objects.all(parse_path(PODS))

    def put_pod(self, pod: Document) -> None:
        self.server.put(f"{PODS}/{pod['metadata']['name']}", pod)

    def events(self, name: str) -> list[str]:
        """Return the reasons of the events on a job."""
        return sorted(event["reason"] for event in self._events(name))

    def message(self, name: str, reason: str) -> str:
        """Return the message of the only event on a job with this reason."""
        (message,) = (event["message"] for event in self._events(name) if event["reason"] == reason)
        return str(message)

    def _events(self, name: str) -> list[Document]:
        events = self.server.objects.all(parse_path(EVENTS))
        return [event for event in events if event["involvedObject"]["name"] == name]

    def _create(self, pod: Document) -> Document:
        objects, name = self.server.objects, pod["metadata"]["name"]
        self.refuse(pod)
        with objects.changed:
            if any(pod["metadata"]["name"] == name for pod in self.pods()):
                raise ApiError(409, "AlreadyExists", f'pods "{name}" already exists')
            metadata = pod["metadata"]
            metadata |= {"creationTimestamp": rfc3339(time.time())}
            if not (is_missed := self.missed_reviews > 0):
                metadata["finalizers"] = ["kubelet"]  # a pod without a node is removed at once
            self.missed_reviews -= is_missed
            if self.inject and not is_missed and metadata["annotations"].get("primehub.io/artifact-enabled") != "false":
                metadata["annotations"]["primehub.io/artifact-sidecar"] = "injected"
                sidecar = {"name": "phjob-artifacts", "restartPolicy": "Always", "command": COMMAND}
                pod["spec"]["initContainers"] = [sidecar]
                pod["spec"]["volumes"] = [*pod["spec"].get("volumes", []), {"name": "phjob-artifacts-no-token"}]
            self.change(pod)
            pod["status"] = {"phase": "Pending"}
            created = self.server.put(f"{PODS}/{name}", pod)
            self.created.setdefault(name, []).append(created["metadata"]["uid"])
            return created


class Kubelet:
    """Runs the pods of a fake cluster, step by step."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster, self._stop = cluster, threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")
        self.starts_pods = True
        self._is_paused = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def pause(self) -> None:
        self._is_paused.set()

    def resume(self) -> None:
        self._is_paused.clear()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            for pod in [] if self._is_paused.is_set() else self._cluster.pods():
                with self._cluster.server.objects.changed:  # so that the pod is not deleted in between
                    self._step(pod)

    def _step(self, listed: Document) -> None:
        try:
            pod = self._cluster.server.objects.get(parse_path(f"{PODS}/{listed['metadata']['name']}"))
        except ApiError:
            return
        status, deleting = pod["status"], "deletionTimestamp" in pod["metadata"]
        main = status.get("containerStatuses", [{"state": {}}])[0]["state"]
        if status["phase"] in ("Succeeded", "Failed") or (deleting and not main):
            if deleting:
                pod["metadata"].pop("finalizers", None)
                self._cluster.put_pod(pod)
                self._cluster.server.remove(f"{PODS}/{pod['metadata']['name']}")
            return
        if not main and self._can_start(pod):
            self._report(pod, running(time.time()), running(time.time()), "Running")
        elif "running" in main and (deleting or "sleep" not in _command(pod)):
            now = time.time()
            code = 143 if "sleep" in _command(pod) else int(_command(pod).partition("exit ")[2] or 0)
            self._report(pod, ended(code, now, now), running(now), "Running")
        elif "terminated" in main:
            code = main["terminated"]["exitCode"]
            self._report(pod, main, ended(0, time.time(), message=summary()), "Failed" if code else "Succeeded")

    def _can_start(self, pod: Document) -> bool:
        """Whether main can start: a sidecar that is an ordinary init container does not end before."""
        return self.starts_pods and all("restartPolicy" in sidecar for sidecar in pod["spec"].get("initContainers", []))

    def _report(self, pod: Document, main: Document, sidecar: Document, phase: str) -> None:
        status: Document = {"phase": phase, "containerStatuses": [{"name": "main", "state": main}]}
        if init_containers := pod["spec"].get("initContainers"):
            status["initContainerStatuses"] = [{"name": init_containers[0]["name"], "state": sidecar}]
        self._cluster.put_pod({**pod, "status": status})


def _command(pod: Document) -> str:
    return str(pod["spec"]["containers"][0]["command"][-1])


@contextmanager
def fake_cluster(server: ApiServer) -> Iterator[tuple[FakeCluster, Kubelet]]:
    """Run a fake cluster on an API server, with a kubelet."""
    cluster = FakeCluster(server)
    kubelet = Kubelet(cluster)
    kubelet.start()
    try:
        yield cluster, kubelet
    finally:
        kubelet.stop()

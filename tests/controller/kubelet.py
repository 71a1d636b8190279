"""What a reconciler needs around it in a test: an API server that injects sidecars, and a kubelet that runs pods.

Main does what its command says: `sleep` goes on until the pod is deleted, `exit N` ends with N, all else ends well.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.controller.cluster import ended, rfc3339, running, summary
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.objectstore import ApiError, Document

PHJOBS = "/apis/primehub.io/v1alpha1/namespaces/ns/phjobs"
PODS = "/api/v1/namespaces/ns/pods"
NAMESPACE = "/api/v1/namespaces/ns"
EVENTS = "/api/v1/namespaces/ns/events"


class World:
    """The API server's objects. `made`: the uid of every pod that was made, by job."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.inject = server, True
        self.refuse: Callable[[Document], None] = lambda _: None
        self.made: dict[str, list[str]] = {}
        server.answers["pods"] = self._create
        server.put(NAMESPACE, {"metadata": {"labels": {"team": "a"}}})

    def add_job(self, name: str, command: str = "true", **given: Any) -> None:
        spec = {"groupName": "Team_A", "userName": "ann", "image": "python", "command": command}
        self.server.put(f"{PHJOBS}/{name}", {"metadata": {}, "spec": spec | given.pop("spec", {}), **given})

    def artifact(self, name: str) -> Document:
        """What the status tells of the artifacts."""
        return self.status(name).get("artifact") or {}

    def result(self, name: str) -> Document:
        """What the annotation tells of them."""
        annotations = self.job(name)["metadata"].get("annotations") or {}
        found: Document = json.loads(annotations.get("primehub.io/artifact-result", "{}"))
        return found

    def job(self, name: str) -> Document:
        return self.server.objects.get(parse_path(f"{PHJOBS}/{name}"))

    def change_job(self, name: str, **spec: Any) -> None:
        found = self.job(name)
        self.server.put(f"{PHJOBS}/{name}", {**found, "spec": {**found["spec"], **spec}})

    def status(self, name: str) -> Document:
        return self.job(name).get("status") or {}

    def phase(self, name: str) -> tuple[str | None, str | None]:
        """Phase, and the state of the artifacts."""
        status = self.status(name)
        return status.get("phase"), (status.get("artifact") or {}).get("state")

    def pods(self) -> list[Document]:
        return self.server.objects.all(parse_path(PODS))

    def put_pod(self, pod: Document) -> None:
        self.server.put(f"{PODS}/{pod['metadata']['name']}", pod)

    def events(self, name: str) -> list[str]:
        """The reasons of the events on a job."""
        return sorted(each["reason"] for each in self._events(name))

    def message(self, name: str, reason: str) -> str:
        """Of the one event of that reason on a job."""
        (message,) = (each["message"] for each in self._events(name) if each["reason"] == reason)
        return str(message)

    def _events(self, name: str) -> list[Document]:
        found = self.server.objects.all(parse_path(EVENTS))
        return [each for each in found if each["involvedObject"]["name"] == name]

    def _create(self, pod: Document) -> Document:
        objects, name = self.server.objects, pod["metadata"]["name"]
        self.refuse(pod)
        with objects.changed:
            if any(each["metadata"]["name"] == name for each in self.pods()):
                raise ApiError(409, "AlreadyExists", f'pods "{name}" already exists')
            metadata = pod["metadata"]
            metadata |= {"creationTimestamp": rfc3339(time.time()), "finalizers": ["kubelet"]}
            if self.inject and metadata["annotations"].get("primehub.io/artifact-enabled") != "false":
                metadata["annotations"]["primehub.io/artifact-sidecar"] = "injected"
                pod["spec"]["initContainers"] = [{"name": "phjob-artifacts"}]
            pod["status"] = {"phase": "Pending"}
            made = self.server.put(f"{PODS}/{name}", pod)
            self.made.setdefault(name, []).append(made["metadata"]["uid"])
            return made


class Kubelet:
    """Runs the pods of a world, a step at a time."""

    def __init__(self, world: World) -> None:
        self._world, self._stop = world, threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")
        self.lively = True  # whether it starts pods

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            for pod in self._world.pods():
                with self._world.server.objects.changed:  # nobody deletes it between the two
                    self._step(pod)

    def _step(self, seen: Document) -> None:
        try:
            pod = self._world.server.objects.get(parse_path(f"{PODS}/{seen['metadata']['name']}"))
        except ApiError:
            return
        status, deleting = pod["status"], "deletionTimestamp" in pod["metadata"]
        main = status.get("containerStatuses", [{"state": {}}])[0]["state"]
        if status["phase"] in ("Succeeded", "Failed") or (deleting and not main):
            if deleting:
                pod["metadata"].pop("finalizers", None)
                self._world.put_pod(pod)
                self._world.server.remove(f"{PODS}/{pod['metadata']['name']}")
            return
        if not main and self.lively:
            self._tell(pod, running(time.time()), running(time.time()), "Running")
        elif "running" in main and (deleting or "sleep" not in _command(pod)):
            since = time.time()
            code = 143 if "sleep" in _command(pod) else int(_command(pod).partition("exit ")[2] or 0)
            self._tell(pod, ended(code, since, since), running(since), "Running")
        elif "terminated" in main:
            code = main["terminated"]["exitCode"]
            self._tell(pod, main, ended(0, time.time(), message=summary()), "Failed" if code else "Succeeded")

    def _tell(self, pod: Document, main: Document, sidecar: Document, phase: str) -> None:
        status: Document = {"phase": phase, "containerStatuses": [{"name": "main", "state": main}]}
        if "initContainers" in pod["spec"]:
            status["initContainerStatuses"] = [{"name": "phjob-artifacts", "state": sidecar}]
        self._world.put_pod({**pod, "status": status})


def _command(pod: Document) -> str:
    return str(pod["spec"]["containers"][0]["command"][-1])


@contextmanager
def world(server: ApiServer) -> Iterator[tuple[World, Kubelet]]:
    """An API server's world, with a kubelet that runs in it."""
    found = World(server)
    kubelet = Kubelet(found)
    kubelet.start()
    try:
        yield found, kubelet
    finally:
        kubelet.stop()

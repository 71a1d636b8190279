"""The installed product: creates PhJobs and pods, waits for them, and reads their status, Events and metrics."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import Configuration
from prometheus_client.parser import text_string_to_metric_families

from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.api_client import E2eApiClient
from tests.e2e.kubectl import kubectl
from tests.e2e.store import StoreReader

Document = dict[str, Any]

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled", "Unknown")
UNFINISHED_STATES = (None, "syncing", "collecting")
SIDECAR = "phjob-artifacts"
PORTS = {"api": "8080", "controller": "8081", "webhook": "8443"}
TIMEOUT_SECONDS = 240.0
_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class System:
    """The product in one namespace.

    `overlay`: the installed overlay; `image`: of the jobs; `group`: that owns the jobs; `api`: a client with the rights
    of an administrator; `claim`: the claim of PHFS.
    """

    access: Configuration
    overlay: Path
    namespace: str
    image: str
    group: str
    store: StoreReader
    api: E2eApiClient
    claim: str = "phfs"

    @contextmanager
    def objects(self, plural: str, group: str = "", version: str = "v1") -> Iterator[ResourceClient]:
        """Yield a client for objects in the product's namespace, and close its connections at the end."""
        client = Client(self.access)
        try:
            yield ResourceClient(client, Resource(group, version, plural, self.namespace))
        finally:
            client.close()

    def create_job(self, name: str, command: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> str:
        """Create a PhJob and return its name."""
        document = {
            "apiVersion": "primehub.io/v1alpha1",
            "kind": "PhJob",
            "metadata": {"name": name, "annotations": dict(annotations or {})},
            "spec": {"groupName": self.group, "userName": "ann", "image": self.image, "command": command, **spec},
        }
        with self.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
            phjobs.create(document)
        return name

    def job(self, name: str) -> Document:
        """Return a PhJob."""
        with self.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
            return phjobs.get(name)

    def jobs(self) -> dict[str, Document]:
        """Return all PhJobs by name."""
        with self.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
            return _by_name(phjobs)

    def pods(self) -> dict[str, Document]:
        """Return all pods by name."""
        with self.objects("pods") as pods:
            return _by_name(pods)

    def wait_ended(self, name: str) -> Document:
        """Wait until the PhJob has ended and its artifacts have a final state. Returns its status."""
        return self.wait_all_ended([name])[name]

    def wait_all_ended(self, names: list[str], seconds: float = TIMEOUT_SECONDS) -> dict[str, Document]:
        """Wait as `wait_ended` does for several PhJobs. Returns their statuses by name."""

        def unfinished() -> list[str]:
            statuses.update({name: job.get("status", {}) for name, job in self.jobs().items()})
            return [name for name in names if not _is_over(statuses.get(name, {}))]

        statuses: dict[str, Document] = {}
        self.wait(lambda: not unfinished(), lambda: f"the end of {', '.join(unfinished()[:5])}", seconds)
        return {name: statuses[name] for name in names}

    def wait(
        self, condition: Callable[[], object], description: str | Callable[[], str], seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Wait until `condition()` is true; fail with the description after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                text = description if isinstance(description, str) else description()
                raise AssertionError(f"not within {seconds:g} s: {text}")
            time.sleep(_POLL_SECONDS)

    def events(self, name: str) -> dict[str, str]:
        """Return the messages of the PhJob's Events by reason."""
        with self.objects("events") as events:
            selected = {"fieldSelector": f"involvedObject.kind=PhJob,involvedObject.name={name}"}
            return {event["reason"]: event["message"] for page in events.pages(selected) for event in page.items}

    def metrics(self, part: str) -> dict[str, float]:
        """Return the sums over all pods of a part, by name and labels, such as `x_total{state="sealed"}`."""
        sums: dict[str, float] = defaultdict(float)
        for pod in self.pods_of(part):
            for name, value in self.metrics_of(part, pod).items():
                sums[name] += value
        return dict(sums)

    def metrics_of(self, part: str, pod: str) -> dict[str, float]:
        """Return the metrics of one pod, by name and labels."""
        scheme = "https" if part == "webhook" else "http"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{scheme}:{pod}:{PORTS[part]}/proxy/metrics"
        return read_metrics(kubectl("get", "--raw", path))

    def pods_of(self, part: str) -> list[str]:
        """Return the names of the part's pods that run and are not being deleted."""
        selector = f"app.kubernetes.io/component={part}"
        with self.objects("pods") as pods:
            all_pods = [pod for page in pods.pages({"labelSelector": selector}) for pod in page.items]
        return [
            pod["metadata"]["name"]
            for pod in all_pods
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def is_injecting(self) -> bool:
        """Whether a new pod would get a sidecar (with a dry run)."""
        return bool(self.injected_image())

    def injected_image(self) -> str:
        """Return the image of the sidecar that a new pod would get, or "" for none."""
        client = Client(self.access)
        path = Resource("", "v1", "pods", self.namespace).path()
        try:
            pod = client.request("POST", path, query={"dryRun": "All"}, body=self.pod("e2e-dry"))
        finally:
            client.close()
        sidecars = [container for container in pod["spec"].get("initContainers", []) if container["name"] == SIDECAR]
        return str(sidecars[0]["image"]) if sidecars else ""

    def pod(self, name: str, *command: str) -> Document:
        """Return a pod as that of a PhJob, but without a PhJob."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "primehub-job"}},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "main",
                        "image": self.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": list(command) or ["true"],
                        "workingDir": "/home/jovyan",
                        "env": [{"name": "PHJOB_NAME", "value": name}],
                        "volumeMounts": [
                            {"name": "workingdir", "mountPath": "/home/jovyan"},
                            {"name": "phfs", "mountPath": "/phfs", "subPath": f"groups/{self.store.group}"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "workingdir", "emptyDir": {}},
                    {"name": "phfs", "persistentVolumeClaim": {"claimName": self.claim}},
                ],
            },
        }

    def create_pod(self, pod: Document) -> str:
        """Create a pod and return its name."""
        with self.objects("pods") as pods:
            name: str = pods.create(pod)["metadata"]["name"]
        return name

    def wait_pod_ended(self, name: str) -> Document:
        """Wait until the pod has ended, and return it."""
        self.wait(lambda: self.pods()[name]["status"].get("phase") in FINAL_PHASES, f"the end of pod {name}")
        return self.pods()[name]


def termination_summary(pod: Document) -> Document:
    """Return the sidecar's termination summary, or {} if there is none."""
    message = terminated_state(pod, SIDECAR).get("message")
    return json.loads(message) if message else {}


def terminated_state(pod: Document, container: str) -> Document:
    """Return the container's `terminated` state, or {} if it has not ended."""
    status = pod.get("status", {})
    for container_status in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if container_status["name"] == container:
            state: Document = container_status.get("state", {}).get("terminated") or {}
            return state
    return {}


def read_metrics(text: str) -> dict[str, float]:
    """Parse metrics in text format. Returns values by name and labels."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + _labels(sample.labels): sample.value for sample in samples}


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}" if labels else ""


def _is_over(status: Mapping[str, Any]) -> bool:
    return status.get("phase") in FINAL_PHASES and (status.get("artifact") or {}).get("state") not in UNFINISHED_STATES


def _by_name(objects: ResourceClient) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for page in objects.pages({}) for document in page.items}

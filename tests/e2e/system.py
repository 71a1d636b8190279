"""PhJobs on the installed product: made, waited for, and what is told of them."""

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
from tests.e2e.kubectl import kubectl
from tests.e2e.service import Service
from tests.e2e.store import Store

Document = dict[str, Any]

FINAL = ("Succeeded", "Failed", "Cancelled", "Unknown")
PENDING = (None, "syncing", "collecting")
SIDECAR = "phjob-artifacts"
PORTS = {"api": "8080", "controller": "8081", "webhook": "8443"}
PATIENCE_SECONDS = 240.0
_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class System:
    """`overlay`: what is installed; `image`: what jobs run; `group`: whose they are; `service`: asked by an
    administrator; `claim`: PHFS's."""

    access: Configuration
    overlay: Path
    namespace: str
    image: str
    group: str
    store: Store
    service: Service
    claim: str = "phfs"

    @contextmanager
    def objects(self, plural: str, group: str = "", version: str = "v1") -> Iterator[ResourceClient]:
        """Of the product's namespace. Connections last no longer than the block."""
        client = Client(self.access)
        try:
            yield ResourceClient(client, Resource(group, version, plural, self.namespace))
        finally:
            client.close()

    def create_job(self, name: str, command: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> str:
        """Create a PhJob; gives its name."""
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
        with self.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
            return phjobs.get(name)

    def jobs(self) -> dict[str, Document]:
        with self.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
            return _by_name(phjobs)

    def pods(self) -> dict[str, Document]:
        with self.objects("pods") as pods:
            return _by_name(pods)

    def ended(self, name: str) -> Document:
        """The status of the PhJob, once it has ended and all is told of its artifacts."""
        return self.all_ended([name])[name]

    def all_ended(self, names: list[str], seconds: float = PATIENCE_SECONDS) -> dict[str, Document]:
        """The statuses of the PhJobs, once they all have."""

        def open_ones() -> list[str]:
            statuses.update({name: job.get("status", {}) for name, job in self.jobs().items()})
            return [name for name in names if not _is_over(statuses.get(name, {}))]

        statuses: dict[str, Document] = {}
        self.wait(lambda: not open_ones(), lambda: f"the end of {', '.join(open_ones()[:5])}", seconds)
        return {name: statuses[name] for name in names}

    def wait(
        self, holds: Callable[[], object], what: str | Callable[[], str], seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Return once `holds()`; fail, naming `what`, when it does not in good time."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
            time.sleep(_POLL_SECONDS)

    def events(self, name: str) -> dict[str, str]:
        """What was told on the PhJob: messages by reason."""
        with self.objects("events") as events:
            selected = {"fieldSelector": f"involvedObject.kind=PhJob,involvedObject.name={name}"}
            return {each["reason"]: each["message"] for page in events.pages(selected) for each in page.items}

    def metrics(self, part: str) -> dict[str, float]:
        """The samples of all pods of the part, added up, by name and labels: `x_total{state="sealed"}`."""
        sums: dict[str, float] = defaultdict(float)
        for pod in self.pods_of(part):
            for name, value in self.metrics_of(part, pod).items():
                sums[name] += value
        return dict(sums)

    def metrics_of(self, part: str, pod: str) -> dict[str, float]:
        scheme = "https" if part == "webhook" else "http"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{scheme}:{pod}:{PORTS[part]}/proxy/metrics"
        return read_metrics(kubectl("get", "--raw", path))

    def pods_of(self, part: str) -> list[str]:
        """The names of the part's pods that run and are to stay."""
        selector = f"app.kubernetes.io/component={part}"
        with self.objects("pods") as pods:
            found = [pod for page in pods.pages({"labelSelector": selector}) for pod in page.items]
        return [
            pod["metadata"]["name"]
            for pod in found
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def injects(self) -> bool:
        """Whether a pod that were created now would get its sidecar."""
        return bool(self.injected_image())

    def injected_image(self) -> str:
        """The image of the sidecar that a pod would get now; "" for none."""
        client = Client(self.access)
        path = Resource("", "v1", "pods", self.namespace).path()
        try:
            pod = client.request("POST", path, query={"dryRun": "All"}, body=self.pod("e2e-dry"))
        finally:
            client.close()
        sidecars = [each for each in pod["spec"].get("initContainers", []) if each["name"] == SIDECAR]
        return str(sidecars[0]["image"]) if sidecars else ""

    def pod(self, name: str, *command: str) -> Document:
        """A job's pod that nobody reconciles, of the group."""
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
        with self.objects("pods") as pods:
            name: str = pods.create(pod)["metadata"]["name"]
        return name

    def pod_ended(self, name: str) -> Document:
        """The pod, once it has."""
        self.wait(lambda: self.pods()[name]["status"].get("phase") in FINAL, f"the end of pod {name}")
        return self.pods()[name]


def summary_of(pod: Document) -> Document:
    """What the sidecar said at its end; empty where it said nothing."""
    said = ended_state(pod, SIDECAR).get("message")
    return json.loads(said) if said else {}


def ended_state(pod: Document, container: str) -> Document:
    """How a container ended; empty where it has not."""
    status = pod.get("status", {})
    for each in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if each["name"] == container:
            state: Document = each.get("state", {}).get("terminated") or {}
            return state
    return {}


def read_metrics(text: str) -> dict[str, float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + _labels(sample.labels): sample.value for sample in samples}


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}" if labels else ""


def _is_over(status: Mapping[str, Any]) -> bool:
    return status.get("phase") in FINAL and (status.get("artifact") or {}).get("state") not in PENDING


def _by_name(objects: ResourceClient) -> dict[str, Document]:
    return {each["metadata"]["name"]: each for page in objects.pages({}) for each in page.items}

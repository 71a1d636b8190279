"""Writes the scrape targets of the monitors in components/prometheus to files, as the Prometheus operator finds them.

Debian's Prometheus has no Kubernetes service discovery, so it reads target files, which are updated continually.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from kubernetes.client import Configuration

from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.prometheus.rules import COMPONENT

Document = dict[str, Any]

_UPDATE_SECONDS = 0.5


def monitors() -> list[Document]:
    """Return the ServiceMonitors and PodMonitors of components/prometheus."""
    return list(yaml.safe_load_all((COMPONENT / "monitors.yaml").read_text()))


def scrape_config(monitor: Document, folder: Path) -> Document:
    """Return the scrape configuration of a monitor, with a target file in `folder`."""
    name, endpoint = monitor["metadata"]["name"], _endpoint(monitor)
    return {
        "job_name": name,
        "metrics_path": endpoint["path"],
        "scheme": endpoint.get("scheme", "http"),
        "tls_config": {"insecure_skip_verify": endpoint.get("tlsConfig", {}).get("insecureSkipVerify", False)},
        "file_sd_configs": [{"files": [str(folder / f"{name}.json")]}],
    }


@contextmanager
def updated_targets(access: Configuration, namespace: str, folder: Path) -> Iterator[None]:
    """Write the target files, and update them until the end of the block."""
    stop = threading.Event()
    client = Client(access)

    def update() -> None:
        while not stop.wait(_UPDATE_SECONDS):
            _write(client, namespace, folder)

    _write(client, namespace, folder)
    thread = threading.Thread(target=update, name="targets")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        client.close()


def _write(client: Client, namespace: str, folder: Path) -> None:
    for monitor in monitors():
        find = _service_targets if monitor["kind"] == "ServiceMonitor" else _pod_targets
        text = json.dumps(list(find(client, namespace, monitor)))
        path = folder / f"{monitor['metadata']['name']}.json"
        if not path.exists() or path.read_text() != text:
            temporary = path.with_suffix(".new")
            temporary.write_text(text)
            temporary.rename(path)


def _service_targets(client: Client, namespace: str, monitor: Document) -> Iterator[Document]:
    """Yield every pod behind the services, ready or not."""
    endpoints = {document["metadata"]["name"]: document for document in _list(client, "endpoints", namespace)}
    for service in _list(client, "services", namespace, monitor):
        labels = _labels(service, monitor["spec"].get("targetLabels", []))
        for subset in endpoints.get(service["metadata"]["name"], {}).get("subsets", []):
            ports = [port["port"] for port in subset["ports"] if port.get("name") == _endpoint(monitor)["port"]]
            for address in [*subset.get("addresses", []), *subset.get("notReadyAddresses", [])]:
                pod = address["targetRef"]["name"]
                yield from (_target(address["ip"], port, labels | {"pod": pod}) for port in ports)


def _pod_targets(client: Client, namespace: str, monitor: Document) -> Iterator[Document]:
    """Yield every pod that has an address and has not ended."""
    for pod in _list(client, "pods", namespace, monitor):
        status, spec = pod.get("status", {}), pod["spec"]
        if status.get("phase") in ("Succeeded", "Failed") or "podIP" not in status:
            continue
        labels = _labels(pod, monitor["spec"].get("podTargetLabels", [])) | {"pod": pod["metadata"]["name"]}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for port in container.get("ports", []):
                if port.get("name") == _endpoint(monitor)["port"]:
                    yield _target(status["podIP"], port["containerPort"], labels)


def _list(client: Client, plural: str, namespace: str, monitor: Document | None = None) -> list[Document]:
    labels = monitor["spec"]["selector"]["matchLabels"] if monitor else {}
    selector = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())}
    objects = ResourceClient(client, Resource("", "v1", plural, namespace))
    return [document for page in objects.pages(selector) for document in page.items]


def _endpoint(monitor: Document) -> Document:
    [endpoint] = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
    found: Document = endpoint
    return found


def _labels(document: Document, names: list[str]) -> dict[str, str]:
    """Return labels of the object, with names that are valid in Prometheus."""
    return {re.sub(r"\W", "_", name): document["metadata"]["labels"][name] for name in names}


def _target(address: str, port: int, labels: dict[str, str]) -> Document:
    return {"targets": [f"{address}:{port}"], "labels": labels}

"""Runs a fellow webhook on the cluster, which the API server calls after the product's."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from controller.certificates import BUNDLE, CERTIFICATE, KEY, renew, service_names
from kube.errors import KubeError
from tests.e2e.installation import ROOT
from tests.e2e.kubectl import kubectl
from tests.e2e.system import Document, System

NAME = "zz-fellow"  # sorts after the product's configuration
FILES = ("tests/fellow_changes.py", "tests/e2e/fellow_server.py")
REINVOCATION = {"once": "Never", "again": "IfNeeded"}


@contextmanager
def fellow_webhook(system: System) -> Iterator[None]:
    """Run the webhook for the pods of PhJobs in the system's namespace."""
    namespace, image = system.namespace, system.image
    tls = renew({}, service_names(NAME, namespace), datetime.now(UTC))
    objects = [_files(), _secret(tls), _pod(image), _service()]
    for document in objects:
        document["metadata"] |= {"name": NAME, "namespace": namespace}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        kubectl("-n", namespace, "wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=60s", timeout_seconds=70)
        kubectl("apply", "-f", "-", stdin=json.dumps(_configuration(namespace, tls[BUNDLE])))
        # A ready pod is not yet the endpoint of its service on every node.
        system.wait(lambda: _answers(system), "the fellow webhook answers")
        yield
    finally:
        kubectl("delete", "mutatingwebhookconfiguration", NAME, "--ignore-not-found")
        kubectl("-n", namespace, "delete", "pod,service,secret,configmap", NAME, "--grace-period=1", "--timeout=50s")


def _answers(system: System) -> bool:
    try:
        system.injected_image()
    except KubeError:  # the webhook's failurePolicy is Fail
        return False
    return True


def _files() -> Document:
    data = {(ROOT / file).name: (ROOT / file).read_text() for file in FILES}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": data}


def _secret(tls: dict[str, bytes]) -> Document:
    data = {name: base64.b64encode(tls[name]).decode() for name in (CERTIFICATE, KEY)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": data}


def _pod(image: str) -> Document:
    container = {
        "name": "fellow",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/fellow/fellow_server.py"],
        "readinessProbe": {"httpGet": {"port": 8443, "scheme": "HTTPS"}, "periodSeconds": 1},
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("fellow", "certificate")],
    }
    volumes = [
        {"name": "fellow", "configMap": {"name": NAME}},
        {"name": "certificate", "secret": {"secretName": NAME}},
    ]
    spec = {"automountServiceAccountToken": False, "containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"run": NAME}}, "spec": spec}


def _service() -> Document:
    spec = {"selector": {"run": NAME}, "ports": [{"port": 443, "targetPort": 8443}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec}


def _configuration(namespace: str, bundle: bytes) -> Document:
    webhooks = [
        {
            "name": f"{path}.fellow.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": {"name": NAME, "namespace": namespace, "path": f"/{path}"},
                "caBundle": base64.b64encode(bundle).decode(),
            },
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": policy,
            "sideEffects": "None",
            "objectSelector": {"matchLabels": {"app": "primehub-job"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        }
        for path, policy in REINVOCATION.items()
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": webhooks,
    }

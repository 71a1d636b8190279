"""The product on a cluster, installed and removed as the README says. It is the demo overlay with few changes."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.kubectl import kubectl

ROOT = Path(__file__).parents[2]
NAMESPACE = "phjobs"
DEPLOYMENTS = ("webhook", "controller", "api")
IMAGES = {
    "localhost/phjob-artifacts-sidecar": "SIDECAR_IMAGE",
    "localhost/phjob-artifacts-api": "API_IMAGE",
}
_GONE_SECONDS = 90.0
# Kinds without a namespace, of which all of ours carry the product's name.
_CLUSTER_KINDS = (
    "namespaces",
    "persistentvolumes",
    "customresourcedefinitions",
    "clusterroles",
    "clusterrolebindings",
    "mutatingwebhookconfigurations",
)


def write_overlay(folder: Path, environ: Mapping[str, str]) -> Path:
    """An overlay with the images that `environ` names; those that it does not name are the demo's."""
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    lines += ["resources:", f"  - {os.path.relpath(ROOT / 'tests/e2e/overlay', folder)}", "images:"]
    for name, variable in IMAGES.items():
        lines += [f"  - {line}" for line in [_image(name, environ.get(variable) or f"{name}:dev")]]
    lines += ["transformers:", f"  - {os.path.relpath(ROOT / 'manifests/wiring', folder)}", ""]
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return folder


def _image(name: str, wanted: str) -> str:
    """How kustomize is told to put one image for another: by digest, by tag, or the latest."""
    if "@" in wanted:
        new_name, _, digest = wanted.partition("@")
        return f'{{name: {name}, newName: "{new_name}", digest: "{digest}"}}'
    head, slash, last = wanted.rpartition("/")
    last, _, tag = last.partition(":")
    return f'{{name: {name}, newName: "{head}{slash}{last}", newTag: "{tag or "latest"}"}}'


def install(overlay: Path) -> None:
    """Apply it, and wait until all of it runs."""
    kubectl("apply", "-k", str(overlay), seconds=120)
    for name in DEPLOYMENTS:
        roll_out(name)


def roll_out(name: str) -> None:
    """Wait until the deployment is as it should be, its former pods gone: they serve to their last moment."""
    deployment = f"deployment/phjob-artifacts-{name}"
    kubectl("-n", NAMESPACE, "rollout", "status", deployment, "--timeout=180s", seconds=200)
    replicas = int(kubectl("-n", NAMESPACE, "get", deployment, "-o", "jsonpath={.spec.replicas}"))
    deadline = time.monotonic() + _GONE_SECONDS
    while len(_pods(name)) > replicas:
        assert time.monotonic() < deadline, f"former pods of {deployment} are not gone: {_pods(name)}"
        time.sleep(0.5)


def _pods(name: str) -> list[str]:
    selector = f"app.kubernetes.io/component={name}"
    return kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "name").split()


def remove(overlay: Path) -> None:
    """Delete it, and wait until that is done."""
    kubectl("delete", "-k", str(overlay), "--timeout=240s", seconds=300)


def leftovers() -> list[str]:
    """What there is of the product on the cluster."""
    found = kubectl("get", ",".join(_CLUSTER_KINDS), "-o", "name").split()
    return [each for each in found if "phjob" in each]

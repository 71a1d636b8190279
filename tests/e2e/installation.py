"""The product on a cluster, installed and removed as the README says. It is an overlay with few changes."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.kubectl import kubectl

ROOT = Path(__file__).parents[2]
NAMESPACE = "phjobs"
DEPLOYMENTS = ("webhook", "controller", "api")
# Variables that name images, by those of the overlays.
IMAGES = {"phjob-artifacts-sidecar": "SIDECAR_IMAGE", "phjob-artifacts-api": "API_IMAGE"}
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


def write_overlay(folder: Path, base: Path, registry: str, environ: Mapping[str, str]) -> Path:
    """An overlay on `base`, whose images are in `registry`, with those that `environ` names; else with our own."""
    lines = ["images:"]
    for name, variable in IMAGES.items():
        lines.append(f"  - {_image(f'{registry}/{name}', environ.get(variable) or f'localhost/{name}:dev')}")
    return write_layer(folder, base, "\n".join(lines))


def write_layer(folder: Path, base: Path, changes: str) -> Path:
    """An overlay on `base` with these changes, as kustomize reads them."""
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    lines += ["resources:", f"  - {os.path.relpath(base, folder)}", changes]
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


def install(overlay: Path, namespace: str = NAMESPACE) -> None:
    """Apply it, and wait until all of it runs."""
    kubectl("apply", "-k", str(overlay), seconds=120)
    for name in DEPLOYMENTS:
        roll_out(name, namespace)


def roll_out(name: str, namespace: str = NAMESPACE) -> None:
    """Wait until the deployment is as it should be, its former pods gone: they serve to their last moment."""
    deployment = f"deployment/phjob-artifacts-{name}"
    kubectl("-n", namespace, "rollout", "status", deployment, "--timeout=180s", seconds=200)
    replicas = int(kubectl("-n", namespace, "get", deployment, "-o", "jsonpath={.spec.replicas}"))
    deadline = time.monotonic() + _GONE_SECONDS
    while len(_pods(name, namespace)) > replicas:
        assert time.monotonic() < deadline, f"former pods of {deployment} are not gone: {_pods(name, namespace)}"
        time.sleep(0.5)


def _pods(name: str, namespace: str) -> list[str]:
    selector = f"app.kubernetes.io/component={name}"
    return kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "name").split()


def end_jobs(namespace: str) -> None:
    """Have no job run on that a test which failed has left: each would hold what follows for its grace period."""
    chosen = ("-l", "app=primehub-job", "--field-selector=status.phase=Running")
    kubectl("-n", namespace, "delete", "pods", *chosen, "--grace-period=1", "--timeout=50s")


def remove(overlay: Path) -> None:
    """Delete what is there of it, and wait until that is done."""
    kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=240s", seconds=300)


def leftovers() -> list[str]:
    """What there is of the product on the cluster."""
    found = kubectl("get", ",".join(_CLUSTER_KINDS), "-o", "name").split()
    return [each for each in found if "phjob" in each]

"""Installs and uninstalls the product on a cluster as the README describes, from an overlay with few changes."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.kubectl import kubectl

ROOT = Path(__file__).parents[2]
NAMESPACE = "phjobs"
DEPLOYMENTS = ("webhook", "controller", "api")
# Environment variables with image names, by the names in the overlays.
IMAGES = {"phjob-artifacts-sidecar": "SIDECAR_IMAGE", "phjob-artifacts-api": "API_IMAGE"}
_TERMINATION_SECONDS = 90.0
# Cluster-scoped kinds. The names of all our objects contain the product's name.
_CLUSTER_KINDS = (
    "namespaces",
    "persistentvolumes",
    "customresourcedefinitions",
    "clusterroles",
    "clusterrolebindings",
    "mutatingwebhookconfigurations",
)


def write_overlay(folder: Path, base: Path, registry: str, environ: Mapping[str, str]) -> Path:
    """Write an overlay on `base` that replaces the images in `registry` by those in `environ`, or by local builds."""
    lines = ["images:"]
    for name, variable in IMAGES.items():
        lines.append(f"  - {_image(f'{registry}/{name}', environ.get(variable) or f'localhost/{name}:dev')}")
    return write_kustomization(folder, base, "\n".join(lines))


def write_kustomization(folder: Path, base: Path, changes: str) -> Path:
    """Write an overlay on `base` with these changes in kustomize's syntax. Returns the folder."""
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    lines += ["resources:", f"  - {os.path.relpath(base, folder)}", changes]
    lines += ["transformers:", f"  - {os.path.relpath(ROOT / 'manifests/wiring', folder)}", ""]
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return folder


def _image(name: str, replacement: str) -> str:
    """Return kustomize's entry for a replaced image, with a digest or a tag (default: latest)."""
    if "@" in replacement:
        new_name, _, digest = replacement.partition("@")
        return f'{{name: {name}, newName: "{new_name}", digest: "{digest}"}}'
    head, slash, last = replacement.rpartition("/")
    last, _, tag = last.partition(":")
    return f'{{name: {name}, newName: "{head}{slash}{last}", newTag: "{tag or "latest"}"}}'


def install(overlay: Path, namespace: str = NAMESPACE) -> None:
    """Apply an overlay and wait until all Deployments are rolled out."""
    kubectl("apply", "-k", str(overlay), timeout_seconds=120)
    for name in DEPLOYMENTS:
        wait_for_rollout(name, namespace)


def wait_for_rollout(name: str, namespace: str = NAMESPACE) -> None:
    """Wait until a Deployment is rolled out and its old pods are gone, because they serve requests until then."""
    deployment = f"deployment/phjob-artifacts-{name}"
    kubectl("-n", namespace, "rollout", "status", deployment, "--timeout=180s", timeout_seconds=200)
    replicas = int(kubectl("-n", namespace, "get", deployment, "-o", "jsonpath={.spec.replicas}"))
    deadline = time.monotonic() + _TERMINATION_SECONDS
    while len(_pods(name, namespace)) > replicas:
        assert time.monotonic() < deadline, f"old pods of {deployment} still exist: {_pods(name, namespace)}"
        time.sleep(0.5)


def _pods(name: str, namespace: str) -> list[str]:
    selector = f"app.kubernetes.io/component={name}"
    return kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "name").split()


def kill_jobs(namespace: str) -> None:
    """Kill jobs that a failed test has left running, because each would delay the removal by its grace period."""
    selectors = ("-l", "app=primehub-job", "--field-selector=status.phase=Running")
    kubectl("-n", namespace, "delete", "pods", *selectors, "--grace-period=1", "--timeout=50s")


def uninstall(overlay: Path) -> None:
    """Delete the objects of an overlay and wait until they are gone."""
    kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=240s", timeout_seconds=300)


def leftovers() -> list[str]:
    """Return the names of the product's cluster-scoped objects."""
    names = kubectl("get", ",".join(_CLUSTER_KINDS), "-o", "name").split()
    return [name for name in names if "phjob" in name]

"""Builds the manifests with the kubectl that the project installs."""

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
GOLDEN = Path(__file__).parent / "golden"

Document = dict[str, Any]

FOLDERS = {
    "demo": MANIFESTS / "overlays/demo",
    "primehub": MANIFESTS / "overlays/primehub",
    "everything": Path(__file__).parent / "everything",
}
NAMESPACES = {"demo": "phjobs", "primehub": "hub", "everything": "elsewhere"}


@functools.cache
def build_text(name: str) -> str:
    """Return the output of `kubectl kustomize`."""
    return kustomize(FOLDERS[name]).stdout


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `kubectl kustomize`. Raises CalledProcessError."""
    kubectl = Path(sys.executable).with_name("kubectl")
    return subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True, timeout=30)


@functools.cache
def build(name: str) -> tuple[Document, ...]:
    """Return the built objects."""
    return tuple(yaml.load_all(build_text(name), yaml.CSafeLoader))


def find(build_name: str, kind: str, object_name: str = "") -> list[Document]:
    """Return the objects of a kind, and of a name if one is given."""
    return [
        document
        for document in build(build_name)
        if document["kind"] == kind and object_name in ("", document["metadata"]["name"])
    ]


def pod_specs(name: str) -> Iterator[tuple[str, Document]]:
    """Yield names and pod specs of our own workloads."""
    for document in build(name):
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(spec: Document) -> list[Document]:
    """Return all containers of a pod spec, including init containers."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def sources() -> list[Path]:
    """Return the YAML files of the manifests, without the samples."""
    return sorted(path for path in MANIFESTS.rglob("*.yaml") if "samples" not in path.parts)

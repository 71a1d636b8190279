"""What the manifests build, by the kubectl that the project installs."""

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
    kubectl = Path(sys.executable).with_name("kubectl")
    return subprocess.run(
        [kubectl, "kustomize", FOLDERS[name]], capture_output=True, text=True, check=True, timeout=30
    ).stdout


@functools.cache
def build(name: str) -> tuple[Document, ...]:
    return tuple(yaml.load_all(build_text(name), yaml.CSafeLoader))


def find(name: str, kind: str, called: str = "") -> list[Document]:
    return [each for each in build(name) if each["kind"] == kind and called in ("", each["metadata"]["name"])]


def pod_specs(name: str) -> Iterator[tuple[str, Document]]:
    """The pod specs of the collector's own workloads, by the workload's name."""
    for each in build(name):
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]
        elif "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers(spec: Document) -> list[Document]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def sources() -> list[Path]:
    """The files that builds are made of."""
    return sorted(each for each in MANIFESTS.rglob("*.yaml") if "samples" not in each.parts)

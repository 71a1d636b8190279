"""Reading a pod that is a plain document: any part may be absent or null, and what is not known here stays."""

from collections.abc import Iterator, Mapping
from typing import Any

Document = dict[str, Any]

MAIN = "main"
SIDECAR = "phjob-artifacts"  # sorts after main: who reads the first container's status means main's
ANNOTATION = "primehub.io/artifact-"
OUTCOME = ANNOTATION + "sidecar"
ORIGINAL_GRACE = ANNOTATION + "original-grace-seconds"
RESULT = ANNOTATION + "result"  # noted on PhJobs: what became of their artifacts
GROUP_LABEL = "primehub.io/group"


class Declined(Exception):
    """This pod gets no sidecar, for `outcome` (a key of injection.OUTCOMES)."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def items(document: Mapping[str, Any], field: str) -> list[Document]:
    """The list `field`; empty where it is absent or null."""
    return document.get(field) or []


def mapping(document: Mapping[str, Any], field: str) -> Document:
    """The object `field`; empty where it is absent or null."""
    return document.get(field) or {}


def named(documents: list[Document], name: str) -> Document | None:
    """The first of `documents` that has this name."""
    return next((document for document in documents if document.get("name") == name), None)


def all_containers(spec: Mapping[str, Any]) -> Iterator[Document]:
    for field in ("initContainers", "containers"):
        yield from items(spec, field)


def is_injected(pod: Mapping[str, Any]) -> bool:
    """Whether this product has added its sidecar already: its container and its annotation are both there."""
    told = mapping(mapping(pod, "metadata"), "annotations").get(OUTCOME)
    return told == "injected" and named(items(mapping(pod, "spec"), "initContainers"), SIDECAR) is not None

"""Accessors for a pod as a plain dict, and the names that injection uses in it.

Any field may be absent or null. Unknown fields are preserved.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from artifacts.job_options import ANNOTATION_PREFIX

Document = dict[str, Any]

MAIN = "main"
SIDECAR = "phjob-artifacts"  # sorts after main, because some tools read the first container's status as main's
OUTCOME_ANNOTATION = ANNOTATION_PREFIX + "sidecar"
INJECTED = "injected"  # its value in pods with the sidecar; in other pods the reason
ORIGINAL_GRACE_ANNOTATION = ANNOTATION_PREFIX + "original-grace-seconds"
RESULT_ANNOTATION = ANNOTATION_PREFIX + "result"  # on PhJobs: the status of their artifacts
GROUP_LABEL, USER_LABEL = "primehub.io/group", "primehub.io/user"

# The API server accepts 256 KiB of annotations per object, names and values together. 1 KiB is reserved for ours.
MAX_POD_ANNOTATION_BYTES = 255 * 1024


class Declined(Exception):
    """The pod gets no sidecar. `outcome` is a key of injection.OUTCOMES."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def get_list(document: Mapping[str, Any], field: str) -> list[Document]:
    """Return the list in `field`, or an empty one if the field is absent or null."""
    return document.get(field) or []


def get_mapping(document: Mapping[str, Any], field: str) -> Document:
    """Return the object in `field`, or an empty one if the field is absent or null."""
    return document.get(field) or {}


def find_by_name(documents: list[Document], name: str) -> Document | None:
    """Return the first of `documents` with this name, or None."""
    return next((document for document in documents if document.get("name") == name), None)


def all_containers(spec: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the init containers and the containers of a pod."""
    for field in ("initContainers", "containers"):
        yield from get_list(spec, field)


def has_annotation_room(annotations: Mapping[str, Any]) -> bool:
    """Whether our annotations can be added to those of a pod without exceeding the API server's limit."""
    texts = [text for item in annotations.items() for text in item if isinstance(text, str)]
    return sum(len(text.encode(errors="replace")) for text in texts) <= MAX_POD_ANNOTATION_BYTES

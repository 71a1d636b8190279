"""Names, labels and annotations of a PhJob and its pod, in addition to those of `inject.pod`."""

from collections.abc import Mapping
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from artifacts.job_options import OPTIONS, option_annotation
from artifacts.names import group_path
from controller.inject.pod import (
    ORIGINAL_GRACE_ANNOTATION,
    OUTCOME_ANNOTATION,
    RESULT_ANNOTATION,
)

API_VERSION, KIND = "primehub.io/v1alpha1", "PhJob"

ENABLED_ANNOTATION = option_annotation("enabled")
# On a pod that the reconciler created without the sidecar: the reason ("quota", "refused" or "start").
NO_SIDECAR_ANNOTATION = "primehub.io/without-artifact-sidecar"
# On the namespace, set by a person: "off" excludes it from the webhook's namespaceSelector.
INJECTION_LABEL, INJECTION_OFF = "primehub.io/artifact-injection", "off"

_NOT_COPIED = (
    EXPIRY_ANNOTATION,
    MISSING_ANNOTATION,
    RESULT_ANNOTATION,
    OUTCOME_ANNOTATION,
    ORIGINAL_GRACE_ANNOTATION,
    NO_SIDECAR_ANNOTATION,
)
_OPTIONS = frozenset(map(option_annotation, OPTIONS))
_MAX_COPIED_BYTES = 128 * 1024  # half of what a pod can have: the rest is for ours and for those of webhooks
_MAX_LABEL_CHARACTERS = 63


def select_pod_annotations(annotations: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the PhJob's annotations that its pod gets, and the names of those that are too long for it.

    The pod gets the product's own, except those about the PhJob's state; the collector's options come first.
    """
    own = sorted(
        (name not in _OPTIONS, name)
        for name, value in annotations.items()
        if name.startswith("primehub.io/") and name not in _NOT_COPIED and isinstance(value, str)
    )
    selected: dict[str, str] = {}
    ignored = []
    room = _MAX_COPIED_BYTES
    for _, name in own:
        size = len(name) + len(annotations[name].encode(errors="replace"))
        if size <= room:
            selected[name] = annotations[name]
            room -= size
        else:
            ignored.append(name)
    return selected, tuple(ignored)


def escape_label(value: str) -> str:
    """Escape a label's value as PrimeHub does: all but lower-case letters and digits become -XX."""
    escaped = "".join(
        char if char.isascii() and (char.islower() or char.isdigit()) else "".join(f"-{b:02x}" for b in char.encode())
        for char in value
    )
    return ("escaped-" + escaped)[:_MAX_LABEL_CHARACTERS].rstrip("-")


def group_sub_path(group: str) -> str:
    """Return the subPath of the group's part of PHFS. Raises InvalidName."""
    return f"groups/{group_path(group)}"

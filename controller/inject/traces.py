"""Recognizes and removes what an earlier call of the webhook left in a pod.

If another webhook changes a pod, the API server calls ours again (reinvocationPolicy: IfNeeded). By then, parts of the
sidecar may be changed, renamed or missing. The annotation records that the pod was injected; the other traces are
recognized by their names and values, which nobody else uses. No trace is read as the user's wish.
"""

from collections.abc import Mapping
from typing import Any

from artifacts.settings import PREFIX
from controller.documents import find_named, mapping_list
from controller.inject.mounts import MASK, mask_volume
from controller.inject.pod import (
    INJECTED,
    MAIN,
    ORIGINAL_GRACE_ANNOTATION,
    OUTCOME_ANNOTATION,
    SIDECAR,
    Document,
    all_containers,
    find_by_name,
    get_list,
    get_mapping,
)
from controller.inject.pod_options import read_pod_options
from controller.inject.wrapper import restore_wrapper
from controller.settings import WebhookSettings

MARKER = PREFIX + "POD_UID"  # of all containers, only the sidecar has this variable


def remove_traces(pod: Document, settings: WebhookSettings) -> Document | None:
    """Remove all traces from `pod` in place. Returns the sidecar as it was found, or None without traces.

    If another webhook has removed the sidecar, but left other traces, an empty sidecar is returned.
    """
    spec = get_mapping(pod, "spec")
    annotations = get_mapping(get_mapping(pod, "metadata"), "annotations")
    is_annotated = annotations.get(OUTCOME_ANNOTATION) == INJECTED
    sidecar = _remove_sidecar(spec, is_annotated=is_annotated)
    has_volume = _remove_volume(spec, is_annotated=is_annotated)
    main = find_by_name(get_list(spec, "containers"), MAIN)
    if main is not None:
        restore_wrapper(main)
    if is_annotated:
        _restore_grace(pod, spec, main or {}, settings)
    _remove_annotations(pod, annotations)
    if sidecar is None and (is_annotated or has_volume):
        return {}
    return sidecar


def is_sidecar(container: Mapping[str, Any], *, is_annotated: bool) -> bool:
    """Whether the container is our sidecar. In a pod annotated as injected, it may be renamed or lack its variables."""
    has_name = container.get("name") == SIDECAR
    has_marker = bool(find_named(mapping_list(container, "env"), MARKER))
    return (has_name or has_marker) if is_annotated else (has_name and has_marker)


def _remove_sidecar(spec: Document, *, is_annotated: bool) -> Document | None:
    found: Document | None = None
    for field in ("containers", "initContainers"):
        others = []
        for container in get_list(spec, field):
            if is_sidecar(container, is_annotated=is_annotated):
                found = container
            else:
                others.append(container)
        if len(others) < len(get_list(spec, field)):
            _set_or_drop(spec, field, others)
    return found


def _remove_volume(spec: Document, *, is_annotated: bool) -> bool:
    """Remove the sidecar's volume, unless another container mounts it. Returns whether there was one."""
    volume = find_by_name(get_list(spec, "volumes"), MASK)
    if volume is None or not (is_annotated or volume == mask_volume()):
        return False
    mounts = (mount for container in all_containers(spec) for mount in get_list(container, "volumeMounts"))
    if all(mount.get("name") != MASK for mount in mounts):
        _set_or_drop(spec, "volumes", [other for other in spec["volumes"] if other.get("name") != MASK])
    return True


def _restore_grace(pod: Document, spec: Document, main: Document, settings: WebhookSettings) -> None:
    """Restore the original grace period, unless another webhook has changed the raised one."""
    text = get_mapping(pod["metadata"], "annotations").get(ORIGINAL_GRACE_ANNOTATION)
    if not isinstance(text, str) or not text.isdecimal() or len(text) > len(str(2**63)):
        return
    raised, spec["terminationGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds"), int(text)
    if read_pod_options(pod, main, settings).grace_seconds != raised:
        spec["terminationGracePeriodSeconds"] = raised


def _remove_annotations(pod: Document, annotations: Document) -> None:
    own = (OUTCOME_ANNOTATION, ORIGINAL_GRACE_ANNOTATION)
    if any(name in annotations for name in own):
        others = {name: text for name, text in annotations.items() if name not in own}
        _set_or_drop(pod["metadata"], "annotations", others)


def _set_or_drop(document: Document, field: str, value: list[Document] | Document) -> None:
    """Set the field, or remove it if the value is empty: the webhook may have added the field."""
    if value:
        document[field] = value
    else:
        del document[field]

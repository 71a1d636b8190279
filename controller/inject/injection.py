"""Decides whether a pod gets the sidecar, and returns the changed pod. Pure: the given pod is not modified.

Injection is idempotent: it removes its own traces from the pod and starts anew, so it also repairs a sidecar that
another webhook has damaged. A pod that cannot have the sidecar, or no longer can, is annotated with the reason.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from controller.inject.cluster_version import ClusterVersion
from controller.inject.container import build_container
from controller.inject.foreign_changes import keep_foreign_changes
from controller.inject.mounts import MASK, MountPlan, mask_volume, plan_mounts
from controller.inject.pod import (
    GROUP_LABEL,
    INJECTED,
    MAIN,
    ORIGINAL_GRACE_ANNOTATION,
    OUTCOME_ANNOTATION,
    SIDECAR,
    Declined,
    Document,
    all_containers,
    find_by_name,
    get_list,
    get_mapping,
    has_annotation_room,
)
from controller.inject.pod_options import read_pod_options
from controller.inject.pod_size import MAX_FIELDS, MAX_MOUNTS, MAX_PATHS_BYTES, is_too_large
from controller.inject.traces import remove_traces
from controller.inject.wrapper import divert_wrapper
from controller.settings import WebhookSettings

OUTCOMES = {
    INJECTED: "the sidecar was added",
    "already-injected": "the pod already has the sidecar",
    "repaired": "another webhook had changed the sidecar, which was restored",
    "opted-out": "collection is disabled for this pod, or for all pods by default",
    "name-taken": f"the pod has its own container {SIDECAR} or volume {MASK}: rename it",
    "paused": "sidecars failed repeatedly, so injection is paused; it is tried again automatically",
    "old-kubernetes": "sidecars need Kubernetes 1.29 or newer, but the API server or a node is older",
    "unknown-version": (
        "the webhook could not read the cluster's Kubernetes version: it had just started, or the API server did not "
        "answer it"
    ),
    "too-large": (
        f"a container of the pod has more than {MAX_MOUNTS} mounts or {MAX_PATHS_BYTES} bytes of mount paths, or the "
        f"pod has more than {MAX_FIELDS} fields: use fewer"
    ),
    "annotations-full": "the pod has more than 255 KiB of annotations, so the collector's do not fit: shorten them",
    "not-linux": "the pod does not run on Linux",
    "no-main": f"the pod has no container {MAIN}: give the container that runs the command this name",
    "no-home": (
        "main has no emptyDir or PersistentVolumeClaim at /home/jovyan that can be mounted before it starts: mount one"
    ),
    "no-phfs": "main has no writable PersistentVolumeClaim at /phfs: mount PHFS there",
    "no-group": "main's mount at /phfs has no subPath groups/<group>: set it to the path of the job's group",
}
WITH_SIDECAR = (INJECTED, "already-injected", "repaired")


@dataclass(frozen=True)
class Injection:
    """The changed pod, the `outcome` (a key of OUTCOMES), and warnings for the creator of the pod."""

    pod: Document
    outcome: str
    warnings: list[str]


def inject(pod: Mapping[str, Any], settings: WebhookSettings, cluster: ClusterVersion) -> Injection:
    """Return the pod with the sidecar, or with the reason why it has none."""
    bare = _copy_outline(pod)
    found = remove_traces(bare, settings)
    if is_too_large(bare):
        return _decline(bare, "too-large")
    result = copy.deepcopy(bare)
    # Nothing is kept of a sidecar that is too large, because a user can forge one.
    kept = {} if found is None or is_too_large({"spec": {"initContainers": [found]}}) else found
    try:
        warnings = _inject(result, kept, settings, cluster)
    except Declined as declined:
        return _decline(bare, declined.outcome)
    if found is not None and _normalized(result) == _normalized(pod):
        return Injection(copy.deepcopy(dict(pod)), "already-injected", [])
    return Injection(result, INJECTED if found is None else "repaired", warnings)


def withhold(pod: Mapping[str, Any], settings: WebhookSettings, outcome: str) -> Injection:
    """Return the pod without a sidecar, with a reason that is not in the pod."""
    bare = _copy_outline(pod)
    remove_traces(bare, settings)
    return _decline(bare, outcome)


def _copy_outline(pod: Mapping[str, Any]) -> Document:
    """Copy the objects that the removal of traces changes. A deep copy of a huge pod would take seconds."""
    copied = dict(pod)
    for field in copied.keys() & {"metadata", "spec"}:
        copied[field] = dict(get_mapping(pod, field))
    if containers := get_list(get_mapping(pod, "spec"), "containers"):
        copied["spec"]["containers"] = [dict(container) for container in containers]
    return copied


def _decline(bare: Document, outcome: str) -> Injection:
    if outcome == "opted-out":
        return Injection(bare, outcome, [])
    if has_annotation_room(_annotations(bare)):
        _annotate(bare, {OUTCOME_ANNOTATION: outcome})
    return Injection(bare, outcome, [f"artifacts will not be collected: {OUTCOMES[outcome]}"])


def _inject(pod: Document, found: Document, settings: WebhookSettings, cluster: ClusterVersion) -> list[str]:
    """Add the sidecar to `pod` in place; return warnings. If it raises Declined, `pod` may be changed in part.

    `found` is the sidecar that an earlier call added, as other webhooks left it.
    """
    spec = get_mapping(pod, "spec")
    main = _check(spec)
    options = read_pod_options(pod, main, settings)
    if not options.enabled:
        raise Declined("opted-out")
    if cluster.oldest is None:
        raise Declined("unknown-version")
    if not cluster.has_native_sidecars:
        raise Declined("old-kubernetes")
    if not has_annotation_room(_annotations(pod)):
        raise Declined("annotations-full")
    mounts = plan_mounts(spec, main)
    sidecar = keep_foreign_changes(build_container(spec, main, mounts, options, settings), found, spec)
    spec["initContainers"] = [sidecar, *get_list(spec, "initContainers")]
    if find_by_name(get_list(spec, "volumes"), MASK) is None:
        spec["volumes"] = [*get_list(spec, "volumes"), mask_volume()]
    spec["terminationGracePeriodSeconds"] = options.grace_seconds
    divert_wrapper(main)
    _annotate(pod, {OUTCOME_ANNOTATION: INJECTED, ORIGINAL_GRACE_ANNOTATION: str(options.original_grace_seconds)})
    return options.warnings + _group_warnings(pod, mounts)


def _normalized(pod: Mapping[str, Any]) -> Document:
    """Return the pod for a comparison that ignores the order of its volumes and of main's variables."""
    spec = dict(pod["spec"])
    spec["volumes"] = sorted(get_list(spec, "volumes"), key=_name)
    spec["containers"] = [
        {**container, "env": sorted(get_list(container, "env"), key=_name)} for container in spec["containers"]
    ]
    return {**pod, "spec": spec}


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("name"))


def _check(spec: Document) -> Document:
    """Check that the pod can get a sidecar; return main."""
    if find_by_name(list(all_containers(spec)), SIDECAR):
        raise Declined("name-taken")
    if find_by_name(get_list(spec, "volumes"), MASK) not in (None, mask_volume()):
        raise Declined("name-taken")
    if get_mapping(spec, "os").get("name", "linux") != "linux":
        raise Declined("not-linux")
    main = find_by_name(get_list(spec, "containers"), MAIN)
    if main is None:
        raise Declined("no-main")
    return main


def _annotate(pod: Document, annotations: dict[str, str]) -> None:
    metadata = pod["metadata"] = get_mapping(pod, "metadata")
    metadata["annotations"] = _annotations(pod) | annotations


def _annotations(pod: Document) -> Document:
    return get_mapping(get_mapping(pod, "metadata"), "annotations")


def _group_warnings(pod: Document, mounts: MountPlan) -> list[str]:
    label = get_mapping(get_mapping(pod, "metadata"), "labels").get(GROUP_LABEL)
    if label is None or mounts.group in _possible_groups(label):
        return []
    return [
        f"artifacts are stored for the group {mounts.group}, which the mount at /phfs names, although the label "
        f"{GROUP_LABEL} is {label[:63]!a}"
    ]


def _possible_groups(label: str) -> set[str]:
    """Return the group paths that a label can mean: the plain name, or PrimeHub's escaped form (`escaped-a-2db`)."""
    escaped = label.removeprefix("escaped-")
    groups = set()
    for name in (label, _unescape(escaped) if escaped != label else ""):
        try:
            groups.add(group_path(name))
        except InvalidName:
            continue
    return groups


def _unescape(text: str) -> str:
    first, *parts = text.split("-")
    try:
        return first + "".join(bytes.fromhex(part[:2]).decode("latin-1") + part[2:] for part in parts)
    except ValueError:
        return ""

"""Decides whether a pod gets the sidecar, and returns the changed pod. Pure: the given pod is not modified.

Injection is idempotent. A pod that cannot get the sidecar is annotated with the reason.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from controller.inject.cluster_version import ClusterVersion
from controller.inject.container import build_container
from controller.inject.mounts import MASK, MountPlan, mask_volume, plan_mounts
from controller.inject.pod import (
    GROUP_LABEL,
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
    is_injected,
)
from controller.inject.pod_options import read_pod_options
from controller.inject.wrapper import divert_wrapper
from controller.settings import WebhookSettings

OUTCOMES = {
    "injected": "the sidecar was added",
    "already-injected": "the pod already has the sidecar",
    "opted-out": "collection is disabled for this pod, or for all pods by default",
    "name-taken": f"the pod has its own container {SIDECAR} or volume {MASK}: rename it",
    "old-kubernetes": (
        "sidecars need Kubernetes 1.29 or newer, but the API server or a node is older, or its version is unknown"
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
# Neither annotated nor warned about: requested by the user, or visible in the pod.
_SILENT_OUTCOMES = ("injected", "already-injected", "opted-out")


@dataclass(frozen=True)
class Injection:
    """The changed pod, the `outcome` (a key of OUTCOMES), and warnings for the creator of the pod."""

    pod: Document
    outcome: str
    warnings: list[str]


def inject(pod: Mapping[str, Any], settings: WebhookSettings, cluster: ClusterVersion) -> Injection:
    """Return the pod with the sidecar, or with the reason why it has none."""
    result = copy.deepcopy(dict(pod))
    try:
        return Injection(result, "injected", _inject(result, settings, cluster))
    except Declined as declined:
        outcome = declined.outcome
    result = copy.deepcopy(dict(pod))
    if outcome in _SILENT_OUTCOMES:
        return Injection(result, outcome, [])
    if has_annotation_room(_annotations(result)):
        _annotate(result, {OUTCOME_ANNOTATION: outcome})
    return Injection(result, outcome, [f"artifacts will not be collected: {OUTCOMES[outcome]}"])


def _inject(pod: Document, settings: WebhookSettings, cluster: ClusterVersion) -> list[str]:
    """Add the sidecar to `pod` in place; return warnings. If it raises Declined, `pod` may be changed in part."""
    spec = get_mapping(pod, "spec")
    main = _check(pod, spec)
    options = read_pod_options(pod, main, settings)
    if not options.enabled:
        raise Declined("opted-out")
    if not cluster.has_native_sidecars:
        raise Declined("old-kubernetes")
    if not has_annotation_room(_annotations(pod)):
        raise Declined("annotations-full")
    mounts = plan_mounts(spec, main)
    sidecar = build_container(spec, main, mounts, options, settings)
    spec["initContainers"] = [sidecar, *get_list(spec, "initContainers")]
    spec["volumes"] = [*get_list(spec, "volumes"), mask_volume()]
    spec["terminationGracePeriodSeconds"] = options.grace_seconds
    divert_wrapper(main)
    _annotate(pod, {OUTCOME_ANNOTATION: "injected", ORIGINAL_GRACE_ANNOTATION: str(options.original_grace_seconds)})
    return options.warnings + _group_warnings(pod, mounts)


def _check(pod: Document, spec: Document) -> Document:
    """Check that the pod can get a sidecar; return main."""
    if is_injected(pod):
        raise Declined("already-injected")
    if find_by_name(list(all_containers(spec)), SIDECAR) or find_by_name(get_list(spec, "volumes"), MASK):
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

"""Whether a pod gets a sidecar, and the pod that it then is. Pure; the pod that is given stays as it is.

Adding it twice is adding it once. A pod that cannot be collected from gets an annotation with the reason instead.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from controller.inject.container import make_container
from controller.inject.facts import Facts
from controller.inject.mounts import MASK, Mounts, mask_volume, plan_mounts
from controller.inject.pod import (
    GROUP_LABEL,
    MAIN,
    ORIGINAL_GRACE,
    OUTCOME,
    SIDECAR,
    Declined,
    Document,
    all_containers,
    is_injected,
    items,
    mapping,
    named,
)
from controller.inject.wishes import ROWS, read_wishes
from controller.settings import Settings

OUTCOMES = {
    "injected": "the sidecar was added",
    "already-injected": "the pod has its sidecar",
    "opted-out": "the pod, or the default for all pods, says that nothing is to be collected",
    "name-taken": f"the pod has a container {SIDECAR} or a volume {MASK} of its own: give it another name",
    "old-kubernetes": "sidecars need Kubernetes 1.29 or newer, and the cluster or a node is older, or tells no version",
    "not-linux": "the pod is not for Linux",
    "no-main": f"the pod has no container {MAIN}",
    "no-home": "main has no emptyDir or PersistentVolumeClaim at /home/jovyan that can be mounted before it starts",
    "no-phfs": "main has no PersistentVolumeClaim at /phfs that it may write to",
    "no-group": "main's mount at /phfs has no subPath groups/<group>, which names the job's group",
}
# Of these the pod itself says nothing: it was asked for, or is plain to see.
_SILENT = ("injected", "already-injected", "opted-out")


@dataclass(frozen=True)
class Injection:
    """The pod as it is to be, the `outcome` (a key of OUTCOMES), and warnings for whoever creates the pod."""

    pod: Document
    outcome: str
    warnings: list[str]


def inject(pod: Mapping[str, Any], settings: Settings, facts: Facts) -> Injection:
    """The pod with the sidecar, or the reason why not."""
    after = copy.deepcopy(dict(pod))
    try:
        return Injection(after, "injected", _inject(after, settings, facts))
    except Declined as declined:
        outcome = declined.outcome
    after = copy.deepcopy(dict(pod))
    if outcome in _SILENT:
        return Injection(after, outcome, [])
    _annotate(after, {OUTCOME: outcome})
    return Injection(after, outcome, [f"artifacts will not be collected: {OUTCOMES[outcome]}"])


def _inject(pod: Document, settings: Settings, facts: Facts) -> list[str]:
    """Change `pod`; returns the warnings. Raises Declined, perhaps half-way."""
    spec = mapping(pod, "spec")
    main = _check(pod, spec)
    wishes = read_wishes(pod, main, settings)
    if not wishes.enabled:
        raise Declined("opted-out")
    if not facts.has_native_sidecars:
        raise Declined("old-kubernetes")
    mounts = plan_mounts(spec, main)
    sidecar = make_container(spec, main, mounts, wishes, settings)
    spec["initContainers"] = [sidecar, *items(spec, "initContainers")]
    spec["volumes"] = [*items(spec, "volumes"), mask_volume()]
    spec["terminationGracePeriodSeconds"] = wishes.grace_seconds
    _switch_wrapper_off(main)
    _annotate(pod, {OUTCOME: "injected", ORIGINAL_GRACE: str(wishes.original_grace_seconds)})
    return wishes.warnings + _group_warnings(pod, mounts)


def _check(pod: Document, spec: Document) -> Document:
    """Main, in a pod that may get a sidecar."""
    if is_injected(pod):
        raise Declined("already-injected")
    if named(list(all_containers(spec)), SIDECAR) or named(items(spec, "volumes"), MASK):
        raise Declined("name-taken")
    if mapping(spec, "os").get("name", "linux") != "linux":
        raise Declined("not-linux")
    main = named(items(spec, "containers"), MAIN)
    if main is None:
        raise Declined("no-main")
    return main


def _switch_wrapper_off(main: Document) -> None:
    """PrimeHub's own wrapper in main copies too, unless it is told not to."""
    name = ROWS["enabled"].env
    env = [each for each in items(main, "env") if each.get("name") == name]
    if not env:
        main["env"] = [*items(main, "env"), {"name": name, "value": "false"}]
    for each in env:
        each.pop("valueFrom", None)
        each["value"] = "false"


def _annotate(pod: Document, told: dict[str, str]) -> None:
    metadata = pod["metadata"] = mapping(pod, "metadata")
    metadata["annotations"] = mapping(metadata, "annotations") | told


def _group_warnings(pod: Document, mounts: Mounts) -> list[str]:
    label = mapping(mapping(pod, "metadata"), "labels").get(GROUP_LABEL)
    if label is None or mounts.group in _groups_meant(label):
        return []
    return [f"artifacts go to the group {mounts.group}, by the mount at /phfs; label {GROUP_LABEL} says {label[:63]!a}"]


def _groups_meant(label: str) -> set[str]:
    """The group paths that a label can mean: the name as it is, or as PrimeHub escapes it (`escaped-a-2db`)."""
    escaped = label.removeprefix("escaped-")
    meant = set()
    for name in (label, _unescape(escaped) if escaped != label else ""):
        try:
            meant.add(group_path(name))
        except InvalidName:
            continue
    return meant


def _unescape(text: str) -> str:
    first, *parts = text.split("-")
    try:
        return first + "".join(bytes.fromhex(part[:2]).decode("latin-1") + part[2:] for part in parts)
    except ValueError:
        return ""

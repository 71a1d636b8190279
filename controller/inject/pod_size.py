"""Bounds the size of pods that are injected, so that the webhook can review any pod within a second.

The API server accepts pods with tens of thousands of mounts. No job needs them, and the sidecar gets a copy of each of
main's mounts, and two environment variables with their paths, which the kernel limits to 128 KiB each.
"""

from collections.abc import Collection, Mapping
from typing import Any

from controller.inject.pod import Document, all_containers, get_list, get_mapping

MAX_FIELDS = 20_000  # of the whole pod; a job's pod has about a thousand
MAX_MOUNTS = 200  # of one container
MAX_PATHS_BYTES = 65536  # of all mount paths and subPaths of one container


def is_too_large(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has too many fields or mounts, or too long paths, to get a sidecar."""
    if _has_too_many_fields(pod):
        return True
    containers = all_containers(get_mapping(pod, "spec"))
    return any(_has_too_many_mounts(get_list(container, "volumeMounts")) for container in containers)


def _has_too_many_fields(pod: Mapping[str, Any]) -> bool:
    count = 0
    pending: list[Collection[Any]] = [pod.values()]
    while pending:
        values = pending.pop()
        count += len(values)
        if count > MAX_FIELDS:
            return True
        for value in values:
            if isinstance(value, dict):
                pending.append(value.values())
            elif isinstance(value, list):
                pending.append(value)
    return False


def _has_too_many_mounts(mounts: list[Document]) -> bool:
    if len(mounts) > MAX_MOUNTS:
        return True
    paths = (mount.get(field) or "" for mount in mounts for field in ("mountPath", "subPath"))
    return sum(len(str(path).encode(errors="replace")) for path in paths) > MAX_PATHS_BYTES

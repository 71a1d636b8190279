"""Which of main's volumes the sidecar mounts: what main works in read-only below one root, PHFS to write to.

Only emptyDir and PersistentVolumeClaims: no secret, no token, nothing of the node. Whatever is mounted here comes up
before main does, so it must never keep the pod from starting, nor change what main or an init container finds.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from controller.inject.pod import SIDECAR, Declined, Document, items, named

HOME = "/home/jovyan"
PHFS = "/phfs"
ROOT = "/job"
STORE = "/phfs"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
MASK = SIDECAR + "-no-token"
_GROUPS = "groups/"
_READ_KINDS = {
    "emptyDir",
    "persistentVolumeClaim",
    "ephemeral",
}  # an ephemeral volume is a claim that ends with its pod


@dataclass(frozen=True)
class Mounts:
    """`mounts` are the sidecar's `volumeMounts`; the paths are main's. `hidden` lie on `volumes`, but below them main
    has something else mounted, which the sidecar does not see."""

    mounts: list[Document]
    volumes: list[str]
    hidden: list[str]
    group: str


def plan_mounts(spec: Mapping[str, Any], main: Mapping[str, Any]) -> Mounts:
    """Raises Declined where there is nothing to collect from, or nowhere to keep it."""
    kinds = {volume.get("name"): _kind(volume) for volume in items(spec, "volumes")}
    # Of two mounts at one path the later one is what main sees.
    by_path = {main_path(mount): mount for mount in items(main, "volumeMounts")}
    store, group = _store(by_path.get(PHFS), spec)
    readable = {
        path: mount
        for path, mount in by_path.items()
        if kinds.get(mount.get("name")) in _READ_KINDS and _is_mountable(path, mount, spec)
    }
    if HOME not in readable:
        raise Declined("no-home")
    readable[PHFS] = by_path[PHFS]
    volumes = _apart(readable)
    hidden = [path for path in by_path if path not in volumes and _tellable(path) and _lies_in(path, volumes)]
    sources = [_mounted(readable[path], ROOT + path) | {"readOnly": True} for path in volumes]
    mask = {"name": MASK, "mountPath": TOKEN, "readOnly": True}
    return Mounts([*sources, _mounted(store, STORE), mask], volumes, sorted(hidden), group)


def mask_volume() -> Document:
    """An empty volume, which keeps the service account's token from being mounted where it is mounted."""
    return {"name": MASK, "emptyDir": {}}


def main_path(mount: Mapping[str, Any]) -> str:
    """Where a mount lies in main: absolute, without a trailing slash, '.' or '..'."""
    return posixpath.normpath("/" + str(mount.get("mountPath") or "").lstrip("/"))


def _store(mount: Document | None, spec: Mapping[str, Any]) -> tuple[Document, str]:
    """Main's mount of PHFS, and the group that its subPath names."""
    volume = named(items(spec, "volumes"), (mount or {}).get("name", ""))
    if mount is None or volume is None or _kind(volume) != "persistentVolumeClaim":
        raise Declined("no-phfs")
    if mount.get("readOnly") or volume["persistentVolumeClaim"].get("readOnly"):
        raise Declined("no-phfs")
    sub_path = mount.get("subPath") or ""
    group = sub_path.removeprefix(_GROUPS)
    try:
        valid = sub_path == _GROUPS + group_path(group)
    except InvalidName:
        valid = False
    if not valid:
        raise Declined("no-group")
    return mount, group


def _kind(volume: Mapping[str, Any]) -> str:
    kinds = [field for field, value in volume.items() if field != "name" and value is not None]
    return kinds[0] if len(kinds) == 1 else ""


def _is_mountable(path: str, mount: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    return path != "/" and _tellable(path) and not mount.get("subPathExpr") and not _is_made_later(mount, spec)


def _tellable(path: str) -> bool:
    """Whether a list of paths can hold it."""
    return ":" not in path and path.isprintable()


def _is_made_later(mount: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether an init container may be about to make what subPath names. The sidecar comes first, and the kubelet
    would make an empty folder of that name for it, where a file is expected perhaps."""
    sub_path = _parts(mount.get("subPath"))
    return any(
        other.get("name") == mount.get("name")
        and (other.get("subPathExpr") or (len(above) < len(sub_path) and sub_path[: len(above)] == above))
        for container in items(spec, "initContainers")
        for other in items(container, "volumeMounts")
        for above in (_parts(other.get("subPath")),)
        if sub_path
    )


def _parts(sub_path: str | None) -> list[str]:
    return [part for part in (sub_path or "").split("/") if part not in ("", ".")]


def _apart(paths: Iterable[str]) -> list[str]:
    """Those of `paths` that do not lie within one another, as a mount cannot be made in one that is read-only.

    The working directory and PHFS are always among them; of all others the outer ones.
    """
    chosen: list[str] = []
    for path in sorted(paths, key=lambda path: (path not in (HOME, PHFS), path.count("/"), path)):
        if not _lies_in(path, chosen) and not any(_lies_in(other, [path]) for other in chosen):
            chosen.append(path)
    return sorted(chosen)


def _lies_in(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _mounted(mount: Mapping[str, Any], path: str) -> Document:
    made = {"name": mount.get("name"), "mountPath": path}
    if mount.get("subPath"):
        made["subPath"] = mount["subPath"]
    if mount.get("mountPropagation") in ("HostToContainer", "Bidirectional"):
        made["mountPropagation"] = "HostToContainer"  # the other way is for privileged containers alone
    return made

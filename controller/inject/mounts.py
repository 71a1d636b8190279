"""The sidecar's mounts: main's data volumes read-only below one root, and PHFS writable.

Only emptyDirs and PersistentVolumeClaims are mounted: no Secrets, no tokens, nothing of the node. The sidecar starts
before main, so its mounts must not prevent the pod from starting or change what main and the init containers find.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from controller.inject.pod import SIDECAR, Declined, Document, find_by_name, get_list

HOME = "/home/jovyan"
PHFS = "/phfs"
ROOT = "/job"
STORE = "/phfs"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
MASK = SIDECAR + "-no-token"
_GROUPS = "groups/"
_POD_VOLUME_KINDS = {"emptyDir", "ephemeral"}  # an ephemeral volume is a claim that is deleted with its pod
_DATA_VOLUME_KINDS = {"persistentVolumeClaim", *_POD_VOLUME_KINDS}


@dataclass(frozen=True)
class MountPlan:
    """`mounts` are the sidecar's `volumeMounts`; `volumes`, `hidden` and `private` are paths in main.

    The sidecar sees `volumes`. At the paths in `hidden`, which are below them, main has another mount, so the sidecar
    does not see what main sees there. `private`: the working directory, if no other pod uses its volume.
    """

    mounts: list[Document]
    volumes: list[str]
    hidden: list[str]
    private: list[str]
    group: str


def plan_mounts(spec: Mapping[str, Any], main: Mapping[str, Any]) -> MountPlan:
    """Plan the sidecar's mounts.

    Raises:
        Declined: main has no working directory that can be mounted, or no writable PHFS.
    """
    kinds = {volume.get("name"): _volume_kind(volume) for volume in get_list(spec, "volumes")}
    # If two mounts have the same path, main sees the later one.
    mounts_by_path = {mount_path(mount): mount for mount in get_list(main, "volumeMounts")}
    store, group = _store_mount(mounts_by_path.get(PHFS), spec)
    init_paths = _init_sub_paths(spec)
    readable = {
        path: mount
        for path, mount in mounts_by_path.items()
        if kinds.get(mount.get("name")) in _DATA_VOLUME_KINDS and _is_mountable(path, mount, init_paths)
    }
    if HOME not in readable:
        raise Declined("no-home")
    readable[PHFS] = mounts_by_path[PHFS]
    volumes = _without_nested(readable)
    visible = set(volumes)
    hidden = [path for path in mounts_by_path if _fits_path_list(path) and _is_below(path, visible)]
    sources = [_mount_at(readable[path], ROOT + path) | {"readOnly": True} for path in volumes]
    mask = {"name": MASK, "mountPath": TOKEN, "readOnly": True}
    private = [HOME] if kinds[readable[HOME].get("name")] in _POD_VOLUME_KINDS else []
    return MountPlan([*sources, _mount_at(store, STORE), mask], volumes, sorted(hidden), private, group)


def mask_volume() -> Document:
    """Return an empty volume. Mounted over the service account's token, it hides the token from the sidecar."""
    return {"name": MASK, "emptyDir": {}}


def mount_path(mount: Mapping[str, Any]) -> str:
    """Return the path of a mount in main: absolute, without a trailing slash, '.' or '..'."""
    return posixpath.normpath("/" + str(mount.get("mountPath") or "").lstrip("/"))


def _store_mount(mount: Document | None, spec: Mapping[str, Any]) -> tuple[Document, str]:
    """Check main's mount of PHFS; return it and the group in its subPath."""
    volume = find_by_name(get_list(spec, "volumes"), (mount or {}).get("name", ""))
    if mount is None or volume is None or _volume_kind(volume) != "persistentVolumeClaim":
        raise Declined("no-phfs")
    if mount.get("readOnly") or volume["persistentVolumeClaim"].get("readOnly"):
        raise Declined("no-phfs")
    sub_path = mount.get("subPath") or ""
    group = sub_path.removeprefix(_GROUPS)
    try:
        is_valid = sub_path == _GROUPS + group_path(group)
    except InvalidName:
        is_valid = False
    if not is_valid:
        raise Declined("no-group")
    return mount, group


def _volume_kind(volume: Mapping[str, Any]) -> str:
    kinds = [field for field, value in volume.items() if field != "name" and value is not None]
    return kinds[0] if len(kinds) == 1 else ""


@dataclass
class _SubPaths:
    """The subPaths of one volume that init containers mount, as a tree of path components."""

    children: dict[str, "_SubPaths"] = field(default_factory=dict)
    is_mounted: bool = False  # here ends a subPath; at the root: the whole volume is mounted

    def add(self, components: Iterable[str]) -> None:
        """Add a subPath."""
        node = self
        for name in components:
            node = node.children.setdefault(name, _SubPaths())
        node.is_mounted = True

    def has_parent(self, components: Iterable[str]) -> bool:
        """Whether a parent of this subPath is mounted, or the whole volume."""
        node: _SubPaths | None = self
        for name in components:
            if node is None or node.is_mounted:
                return node is not None
            node = node.children.get(name)
        return False


def _init_sub_paths(spec: Mapping[str, Any]) -> dict[str, _SubPaths]:
    """Return the subPaths that init containers mount, by volume. An expression can be any subPath of its volume."""
    by_volume: dict[str, _SubPaths] = {}
    for container in get_list(spec, "initContainers"):
        for mount in get_list(container, "volumeMounts"):
            sub_path = None if mount.get("subPathExpr") else mount.get("subPath")
            by_volume.setdefault(mount.get("name", ""), _SubPaths()).add(_components(sub_path))
    return by_volume


def _is_mountable(path: str, mount: Mapping[str, Any], init_paths: Mapping[str, _SubPaths]) -> bool:
    """Whether the sidecar can mount what main has at `path`.

    An init container may create the mount's subPath if it mounts a parent. The sidecar starts before it, and for the
    sidecar's mount the kubelet would create an empty folder there, even if the init container wants a file.
    """
    if path == "/" or mount.get("subPathExpr") or not _fits_path_list(path):
        return False
    created = init_paths.get(mount.get("name", ""))
    return created is None or not created.has_parent(_components(mount.get("subPath")))


def _fits_path_list(path: str) -> bool:
    """Whether the path can be part of a colon-separated list in an environment variable."""
    return ":" not in path and path.isprintable()


def _components(sub_path: str | None) -> list[str]:
    return [name for name in (sub_path or "").split("/") if name not in ("", ".")]


def _without_nested(paths: Iterable[str]) -> list[str]:
    """Drop paths until none is within another: nothing can be mounted below a read-only mount.

    The working directory and PHFS always stay; of the others the outer paths stay.
    """
    parents_of_fixed = {parent for path in (HOME, PHFS) for parent in _parents(path)}
    chosen: set[str] = set()
    # Sorted by depth, so only the working directory and PHFS can be below a later path.
    for path in sorted(paths, key=lambda path: (path not in (HOME, PHFS), path.count("/"), path)):
        if path not in parents_of_fixed and not _is_below(path, chosen):
            chosen.add(path)
    return sorted(chosen)


def _is_below(path: str, folders: Collection[str]) -> bool:
    """Whether the path is below one of these folders. Give a set, so that the cost does not depend on its size."""
    return any(parent in folders for parent in _parents(path))


def _parents(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _mount_at(mount: Mapping[str, Any], path: str) -> Document:
    copy = {"name": mount.get("name"), "mountPath": path}
    if mount.get("subPath"):
        copy["subPath"] = mount["subPath"]
    if mount.get("mountPropagation") in ("HostToContainer", "Bidirectional"):
        copy["mountPropagation"] = "HostToContainer"  # Bidirectional needs a privileged container
    return copy

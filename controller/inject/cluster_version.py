"""Kubernetes versions, parsed from what the API server and the nodes report."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Version = tuple[int, int]  # major, minor

_NATIVE_SIDECARS = (1, 29)  # an older API server drops restartPolicy, and the pod would wait in its init container


@dataclass(frozen=True)
class ClusterVersion:
    """The oldest Kubernetes version in the cluster; None if it is unknown."""

    oldest: Version | None

    @property
    def has_native_sidecars(self) -> bool:
        """Whether every node of the cluster can run native sidecars."""
        return self.oldest is not None and self.oldest >= _NATIVE_SIDECARS


def parse_version(document: Mapping[str, Any]) -> Version | None:
    """Return the version in a response of `/version`, or None. Some providers report the minor version as "29+"."""
    numbers = [re.match(r"\d{1,6}", str(document.get(field))) for field in ("major", "minor")]
    if numbers[0] is None or numbers[1] is None:
        return None
    return int(numbers[0][0]), int(numbers[1][0])


def kubelet_version(node: Mapping[str, Any]) -> Version | None:
    """Return the kubelet's version on a node, such as "v1.34.1-gke.123", or None if the node does not report one."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    match = re.match(r"v?(\d{1,6})\.(\d{1,6})", str(info.get("kubeletVersion")))
    return (int(match[1]), int(match[2])) if match else None

"""What is known of the cluster that a pod is for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Version = tuple[int, int]  # major, minor

_NATIVE_SIDECARS = (1, 29)  # an older API server drops the field, and such a pod never gets past its init container


@dataclass(frozen=True)
class Facts:
    """The oldest Kubernetes `version` in the cluster, as far as it is known."""

    version: Version | None

    @property
    def has_native_sidecars(self) -> bool:
        return self.version is not None and self.version >= _NATIVE_SIDECARS


def parse_version(document: Mapping[str, Any]) -> Version | None:
    """What an answer of `/version` tells; None where it tells none. Some providers say "29+"."""
    numbers = [re.match(r"\d{1,6}", str(document.get(field))) for field in ("major", "minor")]
    if numbers[0] is None or numbers[1] is None:
        return None
    return int(numbers[0][0]), int(numbers[1][0])


def kubelet_version(node: Mapping[str, Any]) -> Version | None:
    """What a node tells of its kubelet, such as "v1.34.1-gke.123"; None where it tells nothing of the kind."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    found = re.match(r"v?(\d{1,6})\.(\d{1,6})", str(info.get("kubeletVersion")))
    return (int(found[1]), int(found[2])) if found else None

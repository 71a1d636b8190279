"""What is known of the cluster that a pod is for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NATIVE_SIDECARS = (1, 29)  # an older API server drops the field, and such a pod never gets past its init container


@dataclass(frozen=True)
class Facts:
    """The oldest Kubernetes `version` in the cluster, as (major, minor), as far as it is known."""

    version: tuple[int, int] | None

    @property
    def has_native_sidecars(self) -> bool:
        return self.version is not None and self.version >= _NATIVE_SIDECARS


def parse_version(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """(major, minor) of an answer of `/version`; None where it tells none. Some providers say "29+"."""
    numbers = [re.match(r"\d{1,6}", str(document.get(field))) for field in ("major", "minor")]
    if numbers[0] is None or numbers[1] is None:
        return None
    return int(numbers[0][0]), int(numbers[1][0])

"""Instance types and images: PrimeHub's custom resources, reduced to the values that clients select. Pure.

The objects are treated as hostile: a value of the wrong type counts as missing, and a large specification is left out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MAX_SPEC_BYTES = 16 * 1024
_MAX_TOLERATIONS = 100
_MAX_TEXT_LENGTH = 1024
_BASE_BYTES = 300  # the other fields of a definition in a response, roughly
_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)Gi?")


@dataclass(frozen=True)
class Toleration:
    """A toleration of an instance type's pods. An effect "None" stands for all effects, as in PrimeHub."""

    operator: str
    key: str | None = None
    value: str | None = None
    effect: str = "None"


@dataclass(frozen=True)
class InstanceTypeDefinition:
    """The resources that a job's pod gets. Limits and requests: processors, and gigabytes of memory."""

    name: str
    display_name: str
    description: str | None = None
    cpu_limit: float | None = None
    cpu_request: float | None = None
    memory_limit: float | None = None
    memory_request: float | None = None
    gpu_limit: int | None = None
    tolerations: Sequence[Toleration] = ()
    node_selector: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None
    byte_count: int = _BASE_BYTES


@dataclass(frozen=True)
class ImageDefinition:
    """A container image. `group`: the name of the only group that can use the image; "" for all groups."""

    name: str
    display_name: str
    description: str | None = None
    type: str | None = None
    url: str | None = None
    url_for_gpu: str | None = None
    pull_secret: str | None = None
    group: str = ""
    spec: Mapping[str, Any] | None = None
    byte_count: int = _BASE_BYTES


def parse_instance_type(resource: Mapping[str, Any]) -> InstanceTypeDefinition:
    """Parse an InstanceType. Missing limits are 0 and missing memory is null, as in PrimeHub."""
    name, spec, kept, byte_count = _parse_resource(resource)
    selector = kept.get("nodeSelector")
    return InstanceTypeDefinition(
        name=name,
        display_name=_text(spec.get("displayName")) or name,
        description=_text(spec.get("description")),
        cpu_limit=_number(spec.get("limits.cpu")),
        cpu_request=_number(spec.get("requests.cpu")),
        memory_limit=_gigabytes(spec.get("limits.memory")),
        memory_request=_gigabytes(spec.get("requests.memory")),
        gpu_limit=min(int(_number(spec.get("limits.nvidia.com/gpu"))), 2**31 - 1),
        tolerations=_tolerations(kept.get("tolerations")),
        node_selector=selector if isinstance(selector, Mapping) else None,
        spec=kept or None,
        byte_count=byte_count,
    )


def parse_image(resource: Mapping[str, Any]) -> ImageDefinition:
    """Parse an Image."""
    name, spec, kept, byte_count = _parse_resource(resource)
    return ImageDefinition(
        name=name,
        display_name=_text(spec.get("displayName")) or name,
        description=_text(spec.get("description")),
        type=_text(spec.get("type")),
        url=_text(spec.get("url")),
        url_for_gpu=_text(spec.get("urlForGpu")),
        pull_secret=_text(spec.get("pullSecret")),
        group=_text(spec.get("groupName")) or "",
        spec=kept or None,
        byte_count=byte_count,
    )


def _parse_resource(resource: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Mapping[str, Any], int]:
    """Return the name, the specification, the part of it that is returned to clients, and the size for budgets."""
    metadata, spec = (value if isinstance(value := resource.get(key), Mapping) else {} for key in ("metadata", "spec"))
    try:
        byte_count = len(orjson.dumps(spec))
    except TypeError:  # nested too deeply
        byte_count = MAX_SPEC_BYTES + 1
    kept = spec if byte_count <= MAX_SPEC_BYTES else {}
    return (
        _text(metadata.get("name")) or "",
        spec,
        kept,
        _BASE_BYTES + 2 * min(byte_count, MAX_SPEC_BYTES),
    )  # twice: parts are fields, too


def _tolerations(value: Any) -> tuple[Toleration, ...]:
    entries = value[:_MAX_TOLERATIONS] if isinstance(value, list) else []
    return tuple(
        Toleration(operator, _text(entry.get("key")), _text(entry.get("value")), _text(entry.get("effect")) or "None")
        for entry in entries
        if isinstance(entry, Mapping) and (operator := _text(entry.get("operator")))
    )


def _gigabytes(value: Any) -> float | None:
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) if match else None


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e9 and math.isfinite(value) else 0.0


def _text(value: Any) -> str | None:
    return value[:_MAX_TEXT_LENGTH] if isinstance(value, str) else None

"""The metrics of main that PrimeHub's monitoring agent writes into the job folder while the job runs. Pure.

Users can write to the file, so it is parsed as hostile input: its size and the number of values in it are limited, and
only known fields with numbers are returned.
"""

import json
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 4 * 1024 * 1024  # PrimeHub's maximum: 8064 records of a pod with 8 GPUs
_MAX_VALUES = 400_000  # in such a file; limits the memory that parsing takes
_MAX_NUMBER = 2**63
_DATASETS = ("15m", "1h", "3h", "lifetime")
_SPEC, _GPU_SPEC = ("mem_total",), ("index", "mem_total")
_RECORD, _GPU_RECORD = ("timestamp", "cpu_util", "mem_used"), ("index", "mem_used", "gpu_util")


def parse_monitoring(content: bytes) -> dict[str, Any] | None:
    """Return the metrics: `spec` and `datasets`, as PrimeHub's clients expect them. None if the content is invalid."""
    if len(content) > MAX_BYTES or sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        return None
    try:
        document = _mapping(json.loads(content))
        datasets = _mapping(document.get("datasets"))
        return {
            "spec": _numbers_and_gpus(document.get("spec"), _SPEC, _GPU_SPEC),
            "datasets": {
                name: [_numbers_and_gpus(record, _RECORD, _GPU_RECORD) for record in _list(datasets.get(name))]
                for name in _DATASETS
            },
        }
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return None


def _numbers_and_gpus(value: Any, names: tuple[str, ...], gpu_names: tuple[str, ...]) -> dict[str, Any]:
    fields = _mapping(value)
    return _numbers(fields, names) | {"GPU": [_numbers(_mapping(gpu), gpu_names) for gpu in _list(fields.get("GPU"))]}


def _numbers(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    numbers = {name: fields.get(name) for name in names}
    if not all(type(number) is int and abs(number) < _MAX_NUMBER for number in numbers.values()):
        raise ValueError(f"{', '.join(names)} must be numbers")
    return numbers


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    return value


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):  # the agent writes null for an empty list
        raise ValueError("a list is missing")
    return value or []

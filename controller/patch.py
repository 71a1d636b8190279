"""Computes a JSON Patch (RFC 6902) between two documents.

New list elements are added one by one, so that elements of other webhooks and unknown fields are preserved.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


def make_patch(before: Any, after: Any, path: str = "") -> Iterator[Operation]:
    """Yield the operations that change `before` into `after`."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in before:
            if name not in after:
                yield {"op": "remove", "path": f"{path}/{_escape(name)}"}
        for name, value in after.items():
            field_path = f"{path}/{_escape(name)}"
            if name in before:
                yield from make_patch(before[name], value, field_path)
            else:
                yield {"op": "add", "path": field_path, "value": value}
    elif isinstance(before, list) and isinstance(after, list) and len(after) >= len(before):
        yield from _patch_list(before, after, path)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _patch_list(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Operation]:
    """Insert the new elements after the common start of both lists, then patch the elements behind them."""
    added = len(after) - len(before)
    start = len(before) if added else 0
    if added:
        start = next((index for index, value in enumerate(before) if value != after[index]), len(before))
        for index in range(start, start + added):
            yield {"op": "add", "path": f"{path}/{index}", "value": after[index]}
        start += added
    for index in range(start, len(after)):
        yield from make_patch(before[index - added], after[index], f"{path}/{index}")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")

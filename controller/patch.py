"""What changed between two documents, as a JSON Patch (RFC 6902) of `add` and `replace` alone.

What is added to a list is added as an element, so that another webhook's elements stay, and so does whatever this
product does not know.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


def make_patch(before: Any, after: Any, path: str = "") -> Iterator[Operation]:
    """The operations that make `after` of `before`."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping) and before.keys() <= after.keys():
        for name, value in after.items():
            here = f"{path}/{_escaped(name)}"
            if name in before:
                yield from make_patch(before[name], value, here)
            else:
                yield {"op": "add", "path": here, "value": value}
    elif isinstance(before, list) and isinstance(after, list) and len(after) >= len(before):
        yield from _patch_list(before, after, path)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _patch_list(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Operation]:
    """What is new stands after the elements that both have at their start; the others may have changed."""
    more = len(after) - len(before)
    start = len(before) if more else 0
    if more:
        start = next((at for at, value in enumerate(before) if value != after[at]), len(before))
        for at in range(start, start + more):
            yield {"op": "add", "path": f"{path}/{at}", "value": after[at]}
        start += more
    for at in range(start, len(after)):
        yield from make_patch(before[at - more], after[at], f"{path}/{at}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")

"""Instance types and images are parsed like PrimeHub does, whatever the objects contain."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.definitions.definition import (
    MAX_SPEC_BYTES,
    ImageDefinition,
    InstanceTypeDefinition,
    Toleration,
    parse_image,
    parse_instance_type,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "displayName", "description", "limits.cpu", "requests.cpu", "limits.memory", "requests.memory",
    "limits.nvidia.com/gpu", "tolerations", "nodeSelector", "type", "url", "urlForGpu", "pullSecret", "groupName",
]  # fmt: skip


def resource(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def test_instance_type_has_primehubs_values() -> None:
    spec = {
        "displayName": "CPU 1",
        "description": "1 CPU / 2G",
        "limits.cpu": 1,
        "limits.memory": "2G",
        "limits.nvidia.com/gpu": 1,
        "requests.cpu": 0.5,
        "requests.memory": "1.5G",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists", "key": "gpu", "effect": "NoSchedule"}, {"operator": "Exists"}],
    }
    parsed = parse_instance_type(resource("cpu-1", **spec))
    assert parsed == InstanceTypeDefinition(
        name="cpu-1",
        display_name="CPU 1",
        description="1 CPU / 2G",
        cpu_limit=1.0,
        cpu_request=0.5,
        memory_limit=2.0,
        memory_request=1.5,
        gpu_limit=1,
        tolerations=(Toleration("Exists", "gpu", None, "NoSchedule"), Toleration("Exists")),
        node_selector={"disk": "ssd"},
        spec=spec,
        byte_count=parsed.byte_count,
    )
    assert parsed.byte_count > len(orjson.dumps(spec))


def test_missing_limits_are_zero_and_missing_memory_is_null() -> None:
    parsed = parse_instance_type(resource("x"))
    assert (parsed.display_name, parsed.cpu_limit, parsed.gpu_limit) == ("x", 0.0, 0)
    assert (parsed.memory_limit, parsed.node_selector, parsed.tolerations) == (None, None, ())


def test_image_has_primehubs_values() -> None:
    spec = {
        "displayName": "Base", "description": "d", "type": "both", "url": "a/b:1", "urlForGpu": "a/b:1-gpu",
        "pullSecret": "s", "groupName": "Team_A",
    }  # fmt: skip
    parsed = parse_image(resource("base", **spec))
    assert parsed == ImageDefinition(
        "base", "Base", "d", "both", "a/b:1", "a/b:1-gpu", "s", "Team_A", spec, parsed.byte_count
    )


@pytest.mark.parametrize("memory", ["2Gi", "2g", "2M", "-1G", "G", "", 2, None, "1e9G", "9" * 30 + "G", "٣G"])
def test_only_gigabytes_are_memory(memory: Any) -> None:
    expected = 2.0 if memory == "2Gi" else None
    assert parse_instance_type(resource("x", **{"limits.memory": memory})).memory_limit == expected


@pytest.mark.parametrize("parse", [parse_instance_type, parse_image])
def test_large_specification_is_left_out(parse: Callable[[Any], Any]) -> None:
    large: Any = []
    for _ in range(300):
        large = [large]
    for value in ("x" * MAX_SPEC_BYTES, large):
        parsed = parse(resource("x", more=value, description="d" * 5000, nodeSelector={"a": "b"}))
        assert (parsed.name, parsed.spec, len(parsed.description)) == ("x", None, 1024)
        assert parsed.byte_count <= 3 * MAX_SPEC_BYTES
    assert parse_instance_type(resource("x", more=large, nodeSelector={"a": "b"})).node_selector is None


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON, JSON)
def test_any_object_is_parsed(spec: Any, metadata: Any) -> None:
    for document in ({"metadata": metadata, "spec": spec}, {"spec": spec}, {}):
        instance_type, image = parse_instance_type(document), parse_image(document)
        assert isinstance(instance_type.name, str)
        assert isinstance(image.group, str)
        assert instance_type.gpu_limit is not None
        assert 0 <= instance_type.gpu_limit < 2**31

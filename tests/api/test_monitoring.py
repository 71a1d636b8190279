"""The file of PrimeHub's monitoring agent: its format, and hostile files."""

import json
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.monitoring import MAX_BYTES, parse_monitoring

Document = dict[str, Any]

AGENT = Path(__file__).parents[1] / "primehub/primehub-monitoring-agent"
GPU = {"index": 0, "mem_used": 5, "gpu_util": 90}
RECORD = {"timestamp": 1_800_000_000, "cpu_util": 50, "mem_used": 1 << 40, "GPU": [GPU]}
VALID: Document = {
    "spec": {"mem_total": 1 << 41, "GPU": [{"index": 0, "mem_total": 16}]},
    "datasets": {"15m": [RECORD], "1h": [], "3h": [], "lifetime": [RECORD, RECORD | {"GPU": []}]},
}


def encode(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_the_agents_file_is_returned_as_it_is() -> None:
    assert parse_monitoring(encode(VALID)) == VALID


def test_the_agents_empty_lists_may_be_null() -> None:
    document = {"spec": {"mem_total": 1, "GPU": None}, "datasets": {"15m": None}}
    empty: Document = {"15m": [], "1h": [], "3h": [], "lifetime": []}
    assert parse_monitoring(encode(document)) == {"spec": {"mem_total": 1, "GPU": []}, "datasets": empty}


def test_the_imitated_agent_writes_a_valid_file(tmp_path: Path) -> None:
    (tmp_path / ".metadata").mkdir()
    subprocess.run([AGENT], cwd=tmp_path, env={"ARTIFACTS_DEST": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=True)
    subprocess.run(["kill", (tmp_path / ".monitoring-agent.pid").read_text().strip()], check=True)
    assert parse_monitoring((tmp_path / ".metadata/monitoring").read_bytes()) is not None


def test_unknown_fields_are_left_out() -> None:
    document = {**VALID, "note": "<script>", "spec": {**VALID["spec"], "more": 1}}
    assert parse_monitoring(encode(document)) == VALID


def test_the_largest_file_of_an_agent_is_accepted() -> None:
    record = RECORD | {"GPU": [{"index": index, "mem_used": 40 << 30, "gpu_util": 100} for index in range(8)]}
    datasets = {"15m": [record] * 90, "1h": [record] * 120, "3h": [record] * 180, "lifetime": [record] * 8064}
    content = json.dumps({"spec": VALID["spec"], "datasets": datasets}, separators=(",", ":")).encode()
    assert len(content) < MAX_BYTES
    parsed = parse_monitoring(content)
    assert parsed is not None
    assert len(parsed["datasets"]["lifetime"]) == 8064


INVALID = {
    "empty": b"",
    "not JSON": b"\xff\x00",
    "not UTF-8": encode(VALID).replace(b"15m", b"\xff"),
    "a list": b"[]",
    "no datasets": encode({"spec": VALID["spec"]}),
    "a number as text": encode(VALID).replace(b"50", b'"50"'),
    "a fraction": encode(VALID).replace(b"50", b"5.5"),
    "not a number": encode(VALID).replace(b"50", b"NaN"),
    "a boolean": encode(VALID).replace(b"50", b"true"),
    "a huge number": encode(VALID).replace(b"50", b"9" * 4000),
    "a number without end": encode(VALID).replace(b"50", b"9" * 100_000),
    "nested too deeply": b"[" * 200_000 + b"]" * 200_000,
    "a record that is a list": encode({**VALID, "datasets": {"15m": [[]]}}),
    "datasets that are a list": encode({**VALID, "datasets": []}),
    "too large": encode(VALID) + b" " * MAX_BYTES,
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_file_is_ignored(case: str) -> None:
    assert parse_monitoring(INVALID[case]) is None


@pytest.mark.parametrize("item", [b"[],", b"{},", b"1,", b'"a",', b"[[]],"])
def test_a_file_of_many_values_takes_little_memory(item: bytes) -> None:
    content = b"[" + item * (MAX_BYTES // len(item) - 1) + b"0]"
    tracemalloc.start()
    try:
        assert parse_monitoring(content) is None
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


NUMBERS = st.integers() | st.none() | st.text(max_size=3)
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={"timestamp": NUMBERS, "cpu_util": NUMBERS, "GPU": st.lists(st.none())})
)
JSON = st.recursive(NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner))


@given(st.binary() | JSON.map(encode) | st.fixed_dictionaries({"spec": JSON, "datasets": JSON | RECORDS}).map(encode))
def test_any_content_is_parsed_or_ignored(content: bytes) -> None:
    parsed = parse_monitoring(content)
    assert parsed is None or parse_monitoring(encode(parsed)) == parsed

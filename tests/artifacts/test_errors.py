"""Errors carry their data, and their texts are printable even for hostile input."""

import errno
import os

import pytest

from artifacts.errors import ArtifactError, ConfigError, InvalidDocument, InvalidName, StoreConflict, StoreError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "carried", "text"),
    [
        (ConfigError(["a", "b"]), {"problems": ["a", "b"]}, "a\nb"),
        (
            InvalidName("job", "A", "why"),
            {"kind": "job", "value": "A", "reason": "why"},
            "'A' is not a valid job name: why",
        ),
        (InvalidDocument("report", "why"), {"document": "report", "reason": "why"}, "report: why"),
        (
            StoreError("write", "a", FULL),
            {"action": "write", "path": "a", "cause": FULL},
            "cannot write 'a' in the store: No space left on device",
        ),
        (
            StoreConflict("write", "a", OSError("odd")),
            {"action": "write", "path": "a"},
            "cannot write 'a' in the store: odd",
        ),
    ],
)
def test_error_carries_its_data_and_states_it(error: ArtifactError, carried: dict[str, object], text: str) -> None:
    assert isinstance(error, ArtifactError)
    assert str(error) == text
    assert {name: getattr(error, name) for name in carried} == carried


def test_store_conflict_is_a_store_error() -> None:
    assert issubclass(StoreConflict, StoreError)


@pytest.mark.parametrize("value", ["\ud800\n\x1b[31m", "x" * 10_000])
def test_hostile_name_is_printable_and_short_in_the_error(value: str) -> None:
    text = str(InvalidName("path", value, "why"))
    assert text.encode().isascii()
    assert "\n" not in text
    assert len(text) < 200

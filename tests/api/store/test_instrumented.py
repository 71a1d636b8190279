"""InstrumentedStore times operations, counts errors and changes nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.metrics import STORE_OPERATIONS, ApiMetrics
from api.store.instrumented import InstrumentedStore
from api.store.posix import PosixStore
from api.store.store import FileMissing, Store
from artifacts.errors import StoreError

FOLDER = "groups/a/jobArtifacts/job/"


@pytest.fixture
def metrics() -> ApiMetrics:
    return ApiMetrics(CollectorRegistry())


@pytest.fixture
def plain(tmp_path: Path) -> PosixStore:
    return PosixStore(str(tmp_path))


@pytest.fixture
def store(plain: PosixStore, metrics: ApiMetrics) -> Store:
    return InstrumentedStore(plain, metrics.store_seconds, metrics.store_errors)


def samples(metrics: ApiMetrics, name: str) -> dict[str, float]:
    values = {
        operation: metrics.registry.get_sample_value(f"phjob_artifact_store_{name}", {"operation": operation})
        for operation in STORE_OPERATIONS
    }
    return {operation: value for operation, value in values.items() if value}


def test_every_operation_is_forwarded_and_timed(store: Store, metrics: ApiMetrics) -> None:
    store.write(FOLDER + "a", b"abc")
    store.write(FOLDER + "b", b"")
    assert [item.name for item in store.list(FOLDER)] == ["a", "b"]
    assert [item.name for item in store.list(FOLDER, after="a", recursive=False)] == ["b"]
    assert list(store.list("groups/none/jobArtifacts/x/")) == []
    assert store.stat(FOLDER + "a").size == 3
    file = store.open(FOLDER + "a")
    assert (b"".join(file.chunks(1, 2)), file.stat.size) == (b"bc", 3)
    file.close()
    assert store.read(FOLDER + "a", 10) == b"abc"
    store.delete(FOLDER + "b")
    assert store.remove(FOLDER) == (1, 3)
    store.check()
    capacity = store.capacity()
    assert capacity is not None
    assert capacity.size_bytes > 0
    times = {"write": 2, "list": 3, "stat": 1, "open": 1, "read": 1, "delete": 1, "remove": 1, "check": 2}
    assert samples(metrics, "seconds_count") == times
    assert samples(metrics, "errors_total") == {}


def test_a_missing_file_is_not_counted_as_an_error(store: Store, metrics: ApiMetrics) -> None:
    with pytest.raises(FileMissing):
        store.stat(FOLDER + "a")
    assert samples(metrics, "errors_total") == {}


def test_errors_are_counted_by_operation_even_in_the_middle_of_a_read(
    store: Store, plain: PosixStore, metrics: ApiMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise StoreError("do", "x", OSError(5, "Input/output error"))

    def fail_midway(*_: object, **__: object) -> Iterator[Any]:
        yield from ["first", "second"]
        fail()

    for name in ("stat", "read", "write", "delete", "remove", "check"):
        monkeypatch.setattr(plain, name, fail)
    monkeypatch.setattr(plain, "list", fail_midway)
    for call in (store.stat, store.delete, store.remove):
        with pytest.raises(StoreError):
            call("x")
    with pytest.raises(StoreError):
        store.read("x", 1)
    with pytest.raises(StoreError):
        store.write("x", b"")
    with pytest.raises(StoreError):
        store.check()
    items = store.list("x/")
    assert [str(next(items)), str(next(items))] == ["first", "second"]
    with pytest.raises(StoreError):
        next(items)
    file = type("File", (), {"stat": None, "chunks": fail_midway, "close": lambda self: None})()
    monkeypatch.setattr(plain, "open", lambda key: file)
    with pytest.raises(StoreError):
        list(store.open("x").chunks(0, 9))
    errors = dict.fromkeys(("stat", "delete", "remove", "write", "check", "list"), 1)
    assert samples(metrics, "errors_total") == errors | {"read": 2}


def test_an_abandoned_list_is_closed(store: Store, plain: PosixStore) -> None:
    for name in "abc":
        plain.write(FOLDER + name, b"")
    items = store.list(FOLDER)
    next(items)
    items.close()  # type: ignore[attr-defined]  # a fixture checks that no descriptor is left open

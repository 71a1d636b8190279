"""The garbage collector is paused during an informer's first list, and does not visit the listed objects later."""

import gc
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kube.client import Client
from kube.garbage import paused_collection
from tests.kube.apiserver import ApiServer
from tests.kube.informers import PATH, QUICK, running, until, widget


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    assert gc.isenabled()
    gc.unfreeze()


def test_no_collection_runs_while_the_first_list_is_read(server: ApiServer, client: Client) -> None:
    for number in range(2000):
        server.put(f"{PATH}/w{number}", widget(number, **{f"label-{n}": "x" for n in range(20)}))
    collections = list[int]()

    def record(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and threading.current_thread().name.startswith("informer"):
            collections.append(info["generation"])

    gc.callbacks.append(record)
    try:
        with running(client, timing=replace(QUICK, page_size=500)) as (informer, _):
            gc.callbacks.remove(record)
            until(gc.isenabled, "the end of the pause")
            values = {id(value) for value in informer.objects._entries.values()}
            assert not values & set(map(id, gc.get_objects()))
    finally:
        if record in gc.callbacks:
            gc.callbacks.remove(record)
    assert collections in ([], [2])


def test_collector_is_enabled_after_the_last_of_several_pauses() -> None:
    first, second = paused_collection(), paused_collection()
    for pause in (first, second):
        pause.__enter__()
        assert not gc.isenabled()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_collector_is_enabled_after_a_failure() -> None:
    frozen = gc.get_freeze_count()
    with pytest.raises(OSError, match="fault"), paused_collection():
        raise OSError("fault")
    assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen


def test_a_disabled_collector_stays_disabled() -> None:
    gc.disable()
    try:
        with paused_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_of_the_block_is_collected() -> None:
    class Node:
        pass

    with paused_collection():
        node = Node()
        node.self = node  # type: ignore[attr-defined]
        reference = weakref.ref(node)
        del node
    assert reference() is None

"""A running cache of widgets for tests, and the mirror that its handler keeps."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kube.client import Client
from kube.informer import Informer, InformerTiming
from kube.objects import Resource, ResourceClient

WIDGETS = Resource("example.io", "v1", "widgets", "ns")
PATH = WIDGETS.path()
PATIENCE_SECONDS = 20.0
QUICK = InformerTiming(
    page_size=3,
    idle_seconds=30.0,
    watch_seconds=(20, 30),
    stable_seconds=5.0,
    initial_delay_seconds=0.01,
    max_delay_seconds=0.05,
)

Spec = tuple[str, Any]  # version and size


def until(holds: Callable[[], object], what: str) -> None:
    """Return once `holds()`; fail, naming `what`, when it does not in good time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_SECONDS:g} s: {what}")
        time.sleep(0.002)


def trim(document: Mapping[str, Any]) -> Spec:
    """The version and the size, which a good widget has."""
    return document["metadata"]["resourceVersion"], document["spec"]["size"]


def widget(size: Any, **labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"size": size}}


class Mirror:
    """What the changes that a handler was told of add up to; each must fit to what was there."""

    def __init__(self) -> None:
        self.found: dict[str, Spec] = {}
        self.changes: list[tuple[str, Spec | None, Spec | None]] = []
        self.misfits: list[Any] = []

    def take(self, key: str, old: Spec | None, new: Spec | None) -> None:
        self.changes.append((key, old, new))
        if self.found.pop(key, None) != old or old == new:
            self.misfits.append((key, old, new))
        if new is not None:
            self.found[key] = new


@contextmanager
def running(
    client: Client, *, timing: InformerTiming = QUICK, timeout: float = 10.0, synced: bool = True, **given: Any
) -> Iterator[tuple[Informer[Spec], Mirror]]:
    """A cache that runs, has listed all if `synced`, and is stopped at the end."""
    cache, mirror = Informer(ResourceClient(client, WIDGETS, timeout=timeout), trim, timing=timing, **given), Mirror()
    cache.objects.add_handler(mirror.take)
    cache.start()
    try:
        if synced:
            assert cache.wait_for_sync(PATIENCE_SECONDS)
        yield cache, mirror
    finally:
        cache.stop()


def sizes(cache: Informer[Spec]) -> dict[str, Any]:
    """Name -> size."""
    found = {key: cache.objects.get(key) for key in cache.objects.list_keys()}
    return {key.removeprefix("ns/"): spec[1] for key, spec in found.items() if spec}

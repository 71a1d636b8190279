"""A running informer of widgets for tests, and a mirror of the changes that its handler receives."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kube.client import Client
from kube.informer import Informer, InformerTiming
from kube.objects import Resource, ResourceClient

WIDGETS = Resource("example.io", "v1", "widgets", "ns")
PATH = WIDGETS.path()
TIMEOUT_SECONDS = 20.0
QUICK = InformerTiming(
    page_size=3,
    idle_seconds=30.0,
    watch_seconds=(20, 30),
    stable_seconds=5.0,
    initial_delay_seconds=0.01,
    max_delay_seconds=0.05,
)

Spec = tuple[str, Any]  # version and size


def until(condition: Callable[[], object], what: str, seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until `condition()` is true. Fails with `what` in the message if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no success within {seconds:g} s: {what}")
        time.sleep(0.002)


def trim(document: Mapping[str, Any]) -> Spec:
    """Return the version and the size of a widget. Raises for malformed widgets."""
    return document["metadata"]["resourceVersion"], document["spec"]["size"]


def widget(size: Any, **labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"size": size}}


class Mirror:
    """The objects that result from the changes passed to a handler, and the changes that were inconsistent."""

    def __init__(self) -> None:
        self.objects: dict[str, Spec] = {}
        self.changes: list[tuple[str, Spec | None, Spec | None]] = []
        self.inconsistencies: list[Any] = []

    def apply(self, key: str, old: Spec | None, new: Spec | None) -> None:
        self.changes.append((key, old, new))
        if self.objects.pop(key, None) != old or old == new:
            self.inconsistencies.append((key, old, new))
        if new is not None:
            self.objects[key] = new


@contextmanager
def running(
    client: Client, *, timing: InformerTiming = QUICK, timeout: float = 10.0, synced: bool = True, **options: Any
) -> Iterator[tuple[Informer[Spec], Mirror]]:
    """Run an informer and a mirror of it. Waits for the first list if `synced`."""
    source, mirror = ResourceClient(client, WIDGETS, timeout=timeout), Mirror()
    informer = Informer(source, trim, timing=timing, **options)
    informer.objects.add_handler(mirror.apply)
    informer.start()
    try:
        if synced:
            assert informer.wait_for_sync(TIMEOUT_SECONDS)
        yield informer, mirror
    finally:
        informer.stop()


def sizes(informer: Informer[Spec]) -> dict[str, Any]:
    """Return the size of each widget by name."""
    objects = {key: informer.objects.get(key) for key in informer.objects.list_keys()}
    return {key.removeprefix("ns/"): spec[1] for key, spec in objects.items() if spec}

"""A running server over a directory, and one over a directory with faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.cleanup.worlds import World, directory_world
from tests.api.files.served import HOUR, Served, serving
from tests.api.files.stores import FaultyStore

Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with these settings, over a store with one job; with a store of its own, over that."""
    with ExitStack() as servers:

        def start(store: FaultyStore | None = None, **settings: str) -> Served:
            root = tmp_path / "phfs"
            world = directory_world(root, settings)
            if store is not None:
                world = World(store, root / "lock", settings)
            world.fill("job-1", "team-a", HOUR, HOUR, {"a.txt": b"0123456789"})
            return servers.enter_context(serving(world, root))

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyStore:
    return FaultyStore(str(tmp_path / "phfs"))

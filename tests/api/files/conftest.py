"""Fixtures: a running server over a directory, and one over a directory with faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.cleanup.environment import StoreEnvironment, directory_environment
from tests.api.files.download_server import HOUR, DownloadServer, serving
from tests.api.files.faulty_store import FaultyPosixStore

Serve = Callable[..., DownloadServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server with the given settings, over a store with one job."""
    with ExitStack() as servers:

        def start(store: FaultyPosixStore | None = None, **settings: str) -> DownloadServer:
            root = tmp_path / "phfs"
            env = directory_environment(root, settings)
            if store is not None:
                env = StoreEnvironment(store, root / "lock", settings)
            env.add_folder("job-1", "team-a", HOUR, HOUR, {"a.txt": b"0123456789"})
            return servers.enter_context(serving(env, root))

        yield start


@pytest.fixture
def served(serve: Serve) -> DownloadServer:
    return serve()


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyPosixStore:
    return FaultyPosixStore(str(tmp_path / "phfs"))

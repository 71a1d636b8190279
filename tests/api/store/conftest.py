"""Stores to be tested: one behaviour, several kinds."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore, S3Store

from api.store.bucket import BucketStore
from api.store.factory import open_store
from api.store.keys import ObstoreKeys
from api.store.posix import PosixStore
from api.store.store import Store
from tests.api.store import servers
from tests.api.store.servers import BUCKET, VERSITYGW, Server
from tests.machine import require

_numbers = itertools.count()


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    _start_obstore()
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require(VERSITYGW.exists(), "versitygw (make tools)")
    _start_obstore()
    with servers.versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session", params=["directory", "moto", "moto by obstore alone", "versitygw"])
def kind(request: pytest.FixtureRequest) -> tuple[str, Server | None]:
    name: str = request.param
    return name, None if name == "directory" else request.getfixturevalue(name.partition(" ")[0])


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the developer's shell has set."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def store(kind: tuple[str, Server | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, of each kind."""
    name, server = kind
    if server is None:
        return PosixStore(str(tmp_path))
    found = Bucket(server, monkeypatch)
    return found.by_obstore_alone() if name.endswith("alone") else found.store


@pytest.fixture
def bucket(moto: Server, monkeypatch: pytest.MonkeyPatch) -> "Bucket":
    """An empty store on moto, with the way in past it."""
    return Bucket(moto, monkeypatch)


class Bucket:
    """A part of a server's bucket that is the test's alone."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.base = server, f"t{next(_numbers)}/"
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        self.store = open_store(f"s3://{BUCKET}/{self.base}")

    def by_obstore_alone(self) -> Store:
        """The same as GCS and Azure are spoken to."""
        store = S3Store(BUCKET)
        return BucketStore(store, ObstoreKeys(store), self.base)

    def put(self, *keys: str, content: bytes = b"") -> None:
        self.server.put(*(self.base + key for key in keys), content=content)

    def found(self) -> list[str]:
        return [key.removeprefix(self.base) for key in self.server.keys(self.base)]


def _start_obstore() -> None:
    """Its threads and their descriptors stay for as long as the process lives."""
    obstore.list(MemoryStore()).collect()

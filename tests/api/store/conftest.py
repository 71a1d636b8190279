"""Fixtures: a store of each kind, and S3 servers."""

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
from tests.api.store.servers import BUCKET, VERSITYGW, S3Server
from tests.machine import require

_numbers = itertools.count()


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    start_obstore()
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    require(VERSITYGW.exists(), "versitygw (make tools)")
    start_obstore()
    with servers.versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session", params=["directory", "moto", "moto with ObstoreKeys", "versitygw"])
def kind(request: pytest.FixtureRequest) -> tuple[str, S3Server | None]:
    name: str = request.param
    return name, None if name == "directory" else request.getfixturevalue(name.partition(" ")[0])


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the AWS settings of the developer's shell."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def store(kind: tuple[str, S3Server | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return an empty store of each kind."""
    name, server = kind
    if server is None:
        return PosixStore(str(tmp_path))
    bucket = BucketFixture(server, monkeypatch)
    return bucket.with_obstore_keys() if name.endswith("ObstoreKeys") else bucket.store


@pytest.fixture
def bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> "BucketFixture":
    """Return an empty store on moto, with direct access to its objects."""
    return BucketFixture(moto, monkeypatch)


class BucketFixture:
    """A prefix of a server's bucket that only one test uses."""

    def __init__(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.base = server, f"t{next(_numbers)}/"
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        self.store = open_store(f"s3://{BUCKET}/{self.base}")

    def with_obstore_keys(self) -> Store:
        """Return the same store with the implementation that is used for GCS and Azure."""
        store = S3Store(BUCKET)
        return BucketStore(store, ObstoreKeys(store), self.base)

    def put(self, *keys: str, content: bytes = b"") -> None:
        """Put objects directly, with any key."""
        self.server.put(*(self.base + key for key in keys), content=content)

    def list_keys(self) -> list[str]:
        """List all keys directly."""
        return [key.removeprefix(self.base) for key in self.server.keys(self.base)]


def start_obstore() -> None:
    """Start obstore's threads, whose descriptors stay open, before a test counts descriptors."""
    obstore.list(MemoryStore()).collect()

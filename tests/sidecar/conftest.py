"""Fixtures for the tests of single modules: a store in a real folder, and kernels with and without openat2."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from sidecar import openat2
from sidecar.store import JobFolderStore
from tests.sidecar.folders import PHFS, open_store, tree
from tests.sidecar.sidecars import SECRET, Job
from tests.sidecar.volumes import Volumes


@pytest.fixture(params=["openat2", "fallback"])
def either_kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test with openat2, and with the fallback for kernels without it."""
    if request.param == "openat2":
        yield
    else:
        with mock.patch.object(openat2, "_openat2", return_value=-1):
            yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobFolderStore]:
    """A store in an empty folder. The test fails if the store changes a file outside of it."""
    (tmp_path / PHFS).mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    with open_store(tmp_path) as store:
        yield store
    assert tree(tmp_path / "outside") == {"secret": "secret"}


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """Main's volumes, empty."""
    return Volumes(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job without files."""
    return Job(tmp_path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder on none of the job's volumes. Attacks must not exchange names in it."""
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    for name in ("loot", "sub/loot"):
        (folder / name).write_bytes(SECRET)
    return folder

"""What tests of single parts stand on: a store in a real folder, and kernels with and without openat2."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from sidecar import openat2
from sidecar.store import Store
from tests.sidecar.folders import PHFS, opened, tree
from tests.sidecar.sidecars import SECRET, Job
from tests.sidecar.volumes import Volumes


@pytest.fixture(params=["openat2", "fallback"])
def either_kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything holds on a kernel without openat2 too."""
    if request.param == "openat2":
        yield
    else:
        with mock.patch.object(openat2, "_openat2", return_value=-1):
            yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in an empty folder; the test fails if it touches anything beside its job's folder."""
    (tmp_path / PHFS).mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    with opened(tmp_path) as store:
        yield store
    assert tree(tmp_path / "outside") == {"secret": "secret"}


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """main's volumes, empty."""
    return Volumes(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that has left nothing yet."""
    return Job(tmp_path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder on none of the job's volumes. No attack exchanges its names: that would bring the secret inside."""
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    for name in ("loot", "sub/loot"):
        (folder / name).write_bytes(SECRET)
    return folder

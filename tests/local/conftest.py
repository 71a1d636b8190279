"""A data directory of its own for every test, and nothing left running after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.jobs import Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs(tmp_path / "data")
    yield found
    found.close()

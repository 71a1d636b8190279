"""Fixtures of the tests of local mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.driver import JobDriver


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobDriver]:
    """A driver with its own data directory; kills the processes that the test leaves."""
    driver = JobDriver(tmp_path / "data")
    yield driver
    driver.close()

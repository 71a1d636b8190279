"""A fresh API for each test."""

from pathlib import Path

import pytest

from tests.api.schema.graphql_api import Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path / "phfs")

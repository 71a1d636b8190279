"""An API server for each test that requests one, and a client of it."""

from collections.abc import Iterator

import pytest

from kube.client import Client
from tests.kube.apiserver import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as result:
        yield result


@pytest.fixture
def client(server: ApiServer) -> Iterator[Client]:
    result = server.client()
    yield result
    result.close()

"""An API server of its own for every test that asks for one, and a client of it."""

from collections.abc import Iterator

import pytest

from kube.client import Client
from tests.kube.apiserver import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@pytest.fixture
def client(server: ApiServer) -> Iterator[Client]:
    found = server.client()
    yield found
    found.close()

"""Fixtures: local mode's server, and the SDK as its client."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.api_server import GROUP, address_file
from tests.local.driver import JobDriver, wait_for
from tests.sdk.client import Sdk, start_sdk


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sdk]:
    """The SDK, for a server that runs the submitted jobs."""
    jobs = JobDriver(tmp_path_factory.mktemp("local") / "data")
    server = jobs.serve()
    try:
        path = address_file(jobs.data)
        wait_for(path.exists)
        address = json.loads(path.read_text())
        endpoint = address["url"] + "/api/graphql"
        with start_sdk(endpoint, address["token"], GROUP, tmp_path_factory.mktemp("work")) as client:
            yield client
        os.killpg(server.pid, signal.SIGINT)
        jobs.wait(server)
    finally:
        jobs.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for downloads."""
    path = tmp_path / "downloads"
    path.mkdir()
    return path

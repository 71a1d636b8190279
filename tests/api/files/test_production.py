"""Downloads in the production server: memory is bounded, and an interrupted download looks interrupted."""

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.files.download_server import HOUR, ROOT
from tests.api.files.production import ProductionServer, run_production_server

MIB = 1024 * 1024
SIZE = 300 * MIB
MAX_GROWTH = 48 * MIB  # four downloads with blocks of 1 MiB, and memory that the allocator retains


@pytest.fixture
def production(tmp_path: Path) -> Iterator[ProductionServer]:
    with run_production_server(tmp_path / "phfs") as server:
        server.env.add_folder("job-1", "team-a", HOUR, HOUR, {"a.txt": b"0123456789"})
        yield server


def write_sparse(server: ProductionServer, name: str = "big.bin", size: int = SIZE) -> Path:
    path = server.write(name, b"")
    os.truncate(path, size)
    return path


def count_received(server: ProductionServer, path: str) -> int:
    """Return how many bytes a client receives."""
    total, block = 0, memoryview(bytearray(MIB))
    with server.open(path) as response:
        while count := response.readinto(block):
            total += count
    return total


def test_memory_does_not_grow_with_files_or_zips(production: ProductionServer) -> None:
    write_sparse(production)
    for path in ("a.txt", "a.txt?download=1"):
        production.get(path)
    before = production.peak_bytes()
    totals: list[int] = []
    paths = ("big.bin", "?archive=zip")
    clients = [
        threading.Thread(target=lambda path=path: totals.append(count_received(production, path))) for path in paths
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert min(totals) == SIZE
    assert SIZE < max(totals) < SIZE + MIB
    assert production.peak_bytes() - before < MAX_GROWTH


@pytest.mark.parametrize("target", ["big.bin", "?archive=zip"])
def test_an_interrupted_download_breaks_the_connection_and_logs_one_line(
    production: ProductionServer, target: str
) -> None:
    path = write_sparse(production, size=64 * MIB)
    with production.open(target) as response:
        response.read(MIB)
        os.truncate(path, 2 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    assert production.get("a.txt").body == b"0123456789"
    assert production.log.read_text().startswith("download failed group=team-a job=job-1 path=")
    assert "Traceback" not in production.log.read_text()


def test_invalid_utf_8_in_a_url_is_not_replaced(production: ProductionServer) -> None:
    production.write("\ufffd.txt")  # a lenient decoder would read %ff.txt as this name
    assert production.get("%EF%BF%BD.txt").status == 200
    assert production.get("%ff.txt").error["code"] == "NOT_FOUND"
    production.write("%FF.txt", b"collected")
    assert production.get("%ff.txt").body == b"collected"


def test_a_connection_is_reused(production: ProductionServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", production.port, timeout=20)
    requests = [("GET", "a.txt", 200), ("HEAD", "a.txt", 200), ("GET", "none", 404), ("HEAD", "?archive=zip", 200)]
    try:
        for method, path, status in [*requests, ("GET", "?archive=zip", 200), ("GET", "a.txt", 200)]:
            connection.request(method, ROOT + path, headers={"Authorization": "Bearer alice"})
            with connection.getresponse() as response:
                body = response.read()
            assert (response.status, response.will_close) == (status, False)
    finally:
        connection.close()
    assert body == b"0123456789"

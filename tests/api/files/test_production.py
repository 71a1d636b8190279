"""In the server that production runs: memory does not grow with a download, and what breaks off looks broken."""

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.files.download_server import HOUR, ROOT
from tests.api.files.production import Production, producing

MIB = 1024 * 1024
SIZE = 300 * MIB
MOST_GROWTH = 48 * MIB  # four downloads of blocks of 1 MiB, and what the allocator keeps


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Production]:
    with producing(tmp_path / "phfs") as server:
        server.env.add_folder("job-1", "team-a", HOUR, HOUR, {"a.txt": b"0123456789"})
        yield server


def sparse(server: Production, name: str = "big.bin", size: int = SIZE) -> Path:
    path = server.write(name, b"")
    os.truncate(path, size)
    return path


def received(server: Production, path: str) -> int:
    """How many bytes a client gets that keeps none of them."""
    total, block = 0, memoryview(bytearray(MIB))
    with server.opened(path) as response:
        while count := response.readinto(block):
            total += count
    return total


def test_memory_does_not_grow_with_files_or_zips(production: Production) -> None:
    sparse(production)
    for path in ("a.txt", "a.txt?download=1"):
        production.get(path)
    before = production.peak_bytes()
    totals: list[int] = []
    paths = ("big.bin", "?archive=zip")
    clients = [threading.Thread(target=lambda path=path: totals.append(received(production, path))) for path in paths]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert min(totals) == SIZE
    assert SIZE < max(totals) < SIZE + MIB
    assert production.peak_bytes() - before < MOST_GROWTH


@pytest.mark.parametrize("asked", ["big.bin", "?archive=zip"])
def test_what_breaks_off_looks_broken_and_leaves_one_line_in_the_log(production: Production, asked: str) -> None:
    path = sparse(production, size=64 * MIB)
    with production.opened(asked) as response:
        response.read(MIB)
        os.truncate(path, 2 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    assert production.get("a.txt").body == b"0123456789"
    assert production.log.read_text().startswith("download failed group=team-a job=job-1 path=")
    assert "Traceback" not in production.log.read_text()


def test_a_name_is_the_bytes_of_the_url_and_never_a_likeness(production: Production) -> None:
    production.write("\ufffd.txt")  # what %ff.txt would be, were it read with leniency
    assert production.get("%EF%BF%BD.txt").status == 200
    assert production.get("%ff.txt").error["code"] == "NOT_FOUND"


def test_one_connection_serves_one_answer_after_the_other(production: Production) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", production.port, timeout=20)
    asked = [("GET", "a.txt", 200), ("HEAD", "a.txt", 200), ("GET", "none", 404), ("HEAD", "?archive=zip", 200)]
    try:
        for method, path, status in [*asked, ("GET", "?archive=zip", 200), ("GET", "a.txt", 200)]:
            connection.request(method, ROOT + path, headers={"Authorization": "Bearer alice"})
            with connection.getresponse() as response:
                body = response.read()
            assert (response.status, response.will_close) == (status, False)
    finally:
        connection.close()
    assert body == b"0123456789"

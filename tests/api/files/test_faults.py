"""What goes wrong half-way: the connection breaks, and nothing that is not whole looks whole."""

import http.client
import io
import logging
import os
import zipfile

import pytest

from tests.api.files.conftest import Serve
from tests.api.files.download_server import FOLDER, DownloadServer
from tests.api.files.faulty_store import FaultyPosixStore, fails
from tests.lines import lines_of
from tests.sidecar.sidecars import until

MIB = 1024 * 1024
BIG = 64 * MIB


def test_a_file_that_is_cut_while_it_is_sent_breaks_the_connection(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.opened("big.bin") as response:
        assert response.headers["Content-Length"] == str(BIG)
        assert response.read(MIB) == bytes(MIB)
        os.truncate(path, 2 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    until(served.is_idle, "the slot given back")
    assert served.ended("file", "aborted") == 1


def test_a_file_that_is_written_to_while_it_is_sent_breaks_the_connection(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.opened("big.bin") as response:
        response.read(MIB)
        with path.open("r+b") as file:
            file.write(b"new")
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_a_file_that_is_replaced_while_it_is_sent_is_the_old_one_to_its_end(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.opened("big.bin") as response:
        head = response.read(MIB)
        served.write("big.bin", b"new")
        assert head + response.read() == bytes(BIG)
    assert served.get("big.bin").body == b"new"


def test_a_file_that_changes_between_open_and_read_is_an_answer(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty)

    def grows() -> None:
        with (served.root / FOLDER / "a.txt").open("ab") as file:
            file.write(b"more")

    faulty.faults[FOLDER + "a.txt"] = (0, grows)
    answer = served.get("a.txt")
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert "Content-Length" in answer.headers
    assert answer.headers["ETag"] is None


@pytest.mark.parametrize("asked", ["big.bin", "?archive=zip"])
def test_a_store_that_fails_half_way_breaks_the_connection_and_is_told(
    serve: Serve, faulty: FaultyPosixStore, caplog: pytest.LogCaptureFixture, asked: str
) -> None:
    caplog.set_level(logging.INFO)
    served = serve(faulty)
    os.truncate(served.write("big.bin", b""), 8 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (5 * MIB, fails)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get(asked)
    body = broken.value.partial
    assert 4 * MIB < len(body) < 6 * MIB
    assert b"<html" not in body[-1000:]
    until(served.is_idle, "the slot given back")
    kind, shown = ("zip", "/") if "zip" in asked else ("file", "big.bin")
    assert served.ended(kind, "aborted") == 1
    where = f'group=team-a job=job-1 path={shown} user=alice range=""'
    told = lines_of(caplog.records, "api.files.download")
    assert told[0].startswith(f"download failed {where} error=")
    assert "Input/output error" in told[0]
    assert told[1].startswith(f"download {where} bytes=")
    assert told[1].endswith("result=aborted")
    assert faulty.open_now == 0


def test_a_file_that_vanishes_from_under_a_zip_breaks_it(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty)
    last = served.write("z.txt")
    os.truncate(served.write("big.bin", b""), 2 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (MIB, last.unlink)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get("?archive=zip")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(broken.value.partial))
    until(served.is_idle, "the slot given back")
    assert served.ended("zip", "aborted") == 1


def test_a_broken_zip_has_no_end(serve: Serve, faulty: FaultyPosixStore) -> None:
    """Which tells a client that knows no chunks."""
    served = serve(faulty)
    os.truncate(served.write("big.bin", b""), 2 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (MIB, fails)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get("?archive=zip")
    assert b"PK\x05\x06" not in broken.value.partial

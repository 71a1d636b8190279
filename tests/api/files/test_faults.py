"""Errors during a download: the connection breaks, so no incomplete file looks complete."""

import http.client
import io
import logging
import os
import zipfile

import pytest

from tests.api.files.conftest import Serve
from tests.api.files.download_server import FOLDER, DownloadServer
from tests.api.files.faulty_store import FaultyPosixStore, fail
from tests.lines import lines_of
from tests.sidecar.sidecars import until

MIB = 1024 * 1024
BIG = 64 * MIB


def test_a_file_truncated_during_the_download_breaks_the_connection(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.open("big.bin") as response:
        assert response.headers["Content-Length"] == str(BIG)
        assert response.read(MIB) == bytes(MIB)
        os.truncate(path, 2 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    until(served.is_idle, "the slot is released")
    assert served.downloads_ended("file", "aborted") == 1


def test_a_file_written_to_during_the_download_breaks_the_connection(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.open("big.bin") as response:
        response.read(MIB)
        with path.open("r+b") as file:
            file.write(b"new")
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_a_file_replaced_during_the_download_is_sent_as_it_was(served: DownloadServer) -> None:
    path = served.write("big.bin", b"")
    os.truncate(path, BIG)
    with served.open("big.bin") as response:
        head = response.read(MIB)
        served.write("big.bin", b"new")
        assert head + response.read() == bytes(BIG)
    assert served.get("big.bin").body == b"new"


def test_a_file_that_changes_between_open_and_read_gets_an_error_response(
    serve: Serve, faulty: FaultyPosixStore
) -> None:
    served = serve(faulty)

    def grow() -> None:
        with (served.root / FOLDER / "a.txt").open("ab") as file:
            file.write(b"more")

    faulty.faults[FOLDER + "a.txt"] = (0, grow)
    answer = served.get("a.txt")
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert "Content-Length" in answer.headers
    assert answer.headers["ETag"] is None


@pytest.mark.parametrize("target", ["big.bin", "?archive=zip"])
def test_a_store_error_midway_breaks_the_connection_and_is_logged(
    serve: Serve, faulty: FaultyPosixStore, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    caplog.set_level(logging.INFO)
    served = serve(faulty)
    os.truncate(served.write("big.bin", b""), 8 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (5 * MIB, fail)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get(target)
    body = broken.value.partial
    assert 4 * MIB < len(body) < 6 * MIB
    assert b"<html" not in body[-1000:]
    until(served.is_idle, "the slot is released")
    kind, display_path = ("zip", "/") if "zip" in target else ("file", "big.bin")
    assert served.downloads_ended(kind, "aborted") == 1
    fields = f'group=team-a job=job-1 path={display_path} user=alice range=""'
    logged = lines_of(caplog.records, "api.files.download")
    assert logged[0].startswith(f"download failed {fields} error=")
    assert "Input/output error" in logged[0]
    assert logged[1].startswith(f"download ended {fields} bytes=")
    assert logged[1].endswith("result=aborted")
    assert faulty.open_count == 0


def test_a_file_removed_during_a_zip_breaks_the_connection(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty)
    last = served.write("z.txt")
    os.truncate(served.write("big.bin", b""), 2 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (MIB, last.unlink)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get("?archive=zip")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(broken.value.partial))
    until(served.is_idle, "the slot is released")
    assert served.downloads_ended("zip", "aborted") == 1


def test_a_broken_zip_has_no_central_directory(serve: Serve, faulty: FaultyPosixStore) -> None:
    """So clients that ignore the chunked encoding notice the error."""
    served = serve(faulty)
    os.truncate(served.write("big.bin", b""), 2 * MIB)
    faulty.faults[FOLDER + "big.bin"] = (MIB, fail)
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.get("?archive=zip")
    assert b"PK\x05\x06" not in broken.value.partial

"""ZIPs: their files and names, and that common readers can read them."""

import io
import os
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.files import archive as archives
from api.files.archive import archive
from api.folder import JobFolder
from api.store.posix import PosixStore
from artifacts.layout import MANIFEST
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from artifacts.names import encode_path
from tests.api.files.conftest import Serve
from tests.api.files.download_server import FOLDER, DownloadServer
from tests.api.files.faulty_store import FaultyPosixStore
from tests.machine import require


def unzip(served: DownloadServer, path: str = "") -> dict[str, bytes]:
    answer = served.get(f"{path}?archive=zip")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as found:
        assert found.testzip() is None
        return {info.filename: found.read(info) for info in found.infolist()}


def test_the_zip_of_a_job_has_its_files_without_the_collectors(served: DownloadServer) -> None:
    served.write("sub/deep/b.bin", b"b" * 3_000_000)
    served.write("sub/empty", b"")
    served.write("sub/.primehub/mine.txt", b"mine")
    assert unzip(served) == {
        "job-1/a.txt": b"0123456789",
        "job-1/sub/.primehub/mine.txt": b"mine",
        "job-1/sub/deep/b.bin": b"b" * 3_000_000,
        "job-1/sub/empty": b"",
    }
    headers = served.get("?archive=zip").headers
    assert headers["Content-Disposition"] == "attachment; filename=\"job-1.zip\"; filename*=UTF-8''job-1.zip"
    assert headers["Content-Length"] is None
    assert headers["Accept-Ranges"] == "none"


def test_the_zip_of_a_folder_has_paths_relative_to_the_job(served: DownloadServer) -> None:
    served.write("sub/x/b.txt", b"b")
    served.write("sub-2/c.txt", b"c")
    for path in ("sub", "sub/"):
        assert unzip(served, path) == {"job-1/sub/x/b.txt": b"b"}
    assert "filename*=UTF-8''job-1-x.zip" in served.get("sub/x?archive=zip").headers["Content-Disposition"]


def test_modification_times_are_in_utc_and_clamped(served: DownloadServer) -> None:
    for name, moment in (("now", 1_700_000_000), ("old", 0), ("far", 5_000_000_000)):
        os.utime(served.write(name), (moment, moment))
    with zipfile.ZipFile(io.BytesIO(served.get("?archive=zip").body)) as found:
        times = {info.filename: info.date_time for info in found.infolist()}
    assert times["job-1/now"] == datetime.fromtimestamp(1_700_000_000, UTC).timetuple()[:6]
    assert times["job-1/old"] == (1980, 1, 1, 0, 0, 0)
    assert times["job-1/far"] == (2107, 12, 31, 23, 59, 58)


def test_entries_have_the_sources_time_and_the_executable_bit(served: DownloadServer) -> None:
    served.write("run.sh", b"#!/bin/sh\n").chmod(0o755)
    header = ManifestHeader("job-1", "uid")
    source_time = 1_600_000_000
    entries = [
        ManifestEntry("run.sh", 10, source_time * 10**9, 0, 0),
        ManifestEntry("a.txt", 9, source_time * 10**9, 0, 0),  # of another size
    ]
    lines = [format_header(header), *(format_entry(entry, header) for entry in entries)]
    (served.root / FOLDER / MANIFEST).write_text("".join(lines))
    os.utime(served.root / FOLDER / "a.txt", (1_700_000_000, 1_700_000_000))
    with zipfile.ZipFile(io.BytesIO(served.get("?archive=zip").body)) as found:
        infos = {info.filename: info for info in found.infolist()}
    moments = {"job-1/run.sh": source_time, "job-1/a.txt": 1_700_000_000}
    assert {name: info.date_time for name, info in infos.items()} == {
        name: datetime.fromtimestamp(moment, UTC).timetuple()[:6] for name, moment in moments.items()
    }
    modes = {name: oct(info.external_attr >> 16) for name, info in infos.items()}
    assert modes == {"job-1/run.sh": "0o755", "job-1/a.txt": "0o644"}
    assert {info.create_system for info in infos.values()} == {3}


HOSTILE = {
    b"na\xc3\xafve \xe6\x96\x87.txt": "naïve 文.txt",
    b"CON.txt": "_CON.txt",
    b"a:b*c?.txt": "a_b_c_.txt",
    b"..\\..\\evil.exe": ".._.._evil.exe",
    b"tail. ": "tail__",
    b"...": "___",
    b"new\nline": "new_line",
    b"\xff\xfe": "%FF%FE",
    b"UPPER": "UPPER",
    b"upper": "upper (2)",
    b"Dir/x": "Dir/x",
    b"dir/y": "dir (2)/y",
    b"-rf": "-rf",
    b"C:/autoexec.bat": "C_/autoexec.bat",
}


def test_hostile_names_are_extracted_below_the_jobs_folder(served: DownloadServer, tmp_path: Path) -> None:
    for name in HOSTILE:
        served.write(encode_path(os.fsdecode(name)), name)
    expected = {f"job-1/{saved}": name for name, saved in HOSTILE.items()} | {"job-1/a.txt": b"0123456789"}
    assert unzip(served) == expected
    (tmp_path / "out").mkdir()
    with zipfile.ZipFile(io.BytesIO(served.get("?archive=zip").body)) as found:
        found.extractall(tmp_path / "out")
    unpacked = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert unpacked == set(expected)


def test_unzip_reads_the_zip(served: DownloadServer, tmp_path: Path) -> None:
    require(Path("/usr/bin/unzip").exists(), "unzip")
    served.write("sub/naïve 文.txt", b"x" * 1_000_000)
    (tmp_path / "a.zip").write_bytes(served.get("?archive=zip").body)
    done = subprocess.run(["/usr/bin/unzip", "-t", tmp_path / "a.zip"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_zip_without_files_is_not_found(served: DownloadServer, method: str) -> None:
    (served.root / FOLDER / "empty").mkdir()
    (served.root / FOLDER / "a.txt").unlink()  # the collector's own files remain
    for path in ("?archive=zip", "empty?archive=zip", "gone?archive=zip"):
        assert served.get(path, method=method).status == 404


def test_head_of_a_zip_has_headers_and_no_body(served: DownloadServer) -> None:
    answer = served.get("?archive=zip", method="HEAD")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "application/zip", b"")
    assert answer.headers["Content-Length"] is None, "the length must be unknown, not 0"


def test_too_many_files_are_refused_before_the_first_is_sent(
    served: DownloadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    for name in "bc":
        served.write(name)
    assert served.get("?archive=zip").status == 200
    served.write("d")
    answer = served.get("?archive=zip")
    assert (answer.status, answer.error["code"]) == (413, "TOO_LARGE")


def test_a_folder_of_very_many_entries_is_refused(served: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (served.root / FOLDER / f"empty{number}").mkdir()
    monkeypatch.setattr(archives, "MAX_ENTRIES", 4)
    answer = served.get("?archive=zip")
    assert (answer.status, answer.error["code"]) == (413, "TOO_LARGE")


def test_one_file_is_open_at_a_time(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty)
    for number in range(50):
        served.write(f"f{number}")
    assert served.get("?archive=zip").status == 200
    assert (faulty.max_open, faulty.open_count) == (1, 0)


def test_small_files_are_sent_in_blocks(tmp_path: Path) -> None:
    store = PosixStore(str(tmp_path))
    for number in range(1000):
        store.write(f"{FOLDER}f{number}", b"x" * 1000)
    contained = {f"f{number}": 1000 for number in range(1000)}
    sizes = [len(block) for block in archive(store, JobFolder("team-a", "job-1"), "", contained)]
    assert len(sizes) <= 5
    assert max(sizes) < 1024 * 1024


def test_zip64_is_used_if_needed(served: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer's limits are lowered, so a small ZIP needs zip64; the reader has the real limits."""
    served.write("big", b"x" * 5000)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
        for number in range(5):
            served.write(f"f{number}")
        body = served.get("?archive=zip").body
    assert b"PK\x06\x06" in body
    with zipfile.ZipFile(io.BytesIO(body)) as found:
        assert found.testzip() is None
        assert found.read("job-1/big") == b"x" * 5000
        assert len(found.infolist()) == 7

"""Forged metadata: users can write to the job folder, so everything read from it is hostile."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_METADATA, MANIFEST, METADATA, REPORT
from tests.sidecar.sidecars import Job, running, state_of, until


def entry(path: str, **fields: Any) -> bytes:
    """Return a manifest line for `path`; `fields` replace the valid ones."""
    given = {"path": path, "size": 1, "mtimeNs": 1, "ctimeNs": 1, "inode": 1}
    return json.dumps(given | fields).encode() + b"\n"


HEADER = b'{"version":1,"job":"job-1","podUid":""}\n'
MANIFESTS = {
    "up": HEADER + entry("../../../outside/loot"),
    "up-inside": HEADER + entry("x/../../job-2/a"),
    "absolute": HEADER + entry("/etc/passwd"),
    "reserved": HEADER + entry(".primehub/metadata/report.json"),
    "reserved-legacy": HEADER + entry(".metadata/expiredAt"),
    "empty-name": HEADER + entry("a//b"),
    "nul": HEADER + entry("a%00b") + entry("a\0b"),
    "surrogate": HEADER + entry("\ud800"),
    "folder": HEADER + entry("foreign"),
    "folder-of-a-folder": HEADER + entry("foreign/x/y"),
    "long-name": HEADER + entry("n" * 10_000),
    "time-too-large": HEADER + entry("x", mtimeNs=2**63),
    "change-time-too-small": HEADER + entry("x", ctimeNs=-(2**63) - 1),
    "inode-below-zero": HEADER + entry("x", inode=-1),
    "size-below-zero": HEADER + entry("x", size=-1),
    "size-of-a-float": HEADER + entry("x", size=1.5),
    "size-of-a-bool": HEADER + entry("x", size=True),
    "number-of-a-million-digits": HEADER + b'{"path":"x","size":' + b"9" * 1_000_000 + b"}\n",
    "digest": HEADER + entry("x", sha256="../" * 21 + "x"),
    "pod": HEADER + entry("x", podUid=["list"]),
    "deep": HEADER + b"[" * 16_000 + b"\n",
    "deep-header": b'{"version":' * 1300 + b"\n",
    "one-line": b"x" * 3_000_000,
    "binary": bytes(range(256)) * 100,
    "no-line": b"",
    "only-newlines": b"\n" * 100_000,
    "another-job": b'{"version":1,"job":"job-2","podUid":""}\n' + entry("foreign/x"),
    "another-version": b'{"version":2,"job":"job-1","podUid":""}\n' + entry("foreign/x"),
    "no-object": b"[]\n",
    "twice": HEADER + entry("a") * 3 + entry("a", pending=True) + entry("a", podUid="other"),
    "file-and-folder": HEADER + entry("a") + entry("a/b") + entry("sub") + entry("sub/b", pending=True),
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_a_forged_manifest_neither_stops_the_sidecar_nor_affects_other_files(
    job: Job, outside: Path, content: bytes
) -> None:
    foreign = [job.folder / "foreign/x", job.phfs / "jobArtifacts/job-2/a"]
    for path in [*foreign, job.folder / MANIFEST]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("foreign")
    (job.folder / MANIFEST).write_bytes(content)
    before = state_of(outside)
    job.write("a", "1")
    job.write("sub/b", "2")
    with running(job, grace_seconds=5) as sidecar:
        until(job.termination.exists, "the start")
        assert sidecar.end(8) == 0
        assert "Traceback" not in sidecar.log()
    assert job.copies() == {"a": b"1", "sub/b": b"2", "foreign/x": b"foreign"}
    assert [path.read_text() for path in foreign] == ["foreign", "foreign"]
    assert state_of(outside) == before
    assert sorted(job.manifest()) == ["a", "sub/b"]
    assert job.report().state == "sealed"


def test_a_huge_manifest_is_loaded_in_bounded_memory(job: Job) -> None:
    (job.folder / METADATA).mkdir(parents=True)
    with open(job.folder / MANIFEST, "wb") as file:
        file.write(HEADER.replace(b'""', b'"another pod"'))
        for number in range(400_000):
            file.write(b'{"path":"%d","size":1,"mtimeNs":1,"ctimeNs":1,"inode":1}\n' % number)
    job.write("a", "1")
    with running(job, sync_seconds=3600) as sidecar:
        until(lambda: "a" in job.copies(), "the job's file", 40)
        assert sidecar.peak_bytes() < 130_000_000
    assert job.copies() == {"a": b"1"}


@pytest.mark.parametrize("name", [MANIFEST, REPORT, EXPIRED_AT, f"{LEGACY_METADATA}/expiredAt", "a"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_link_or_fifo_in_place_of_a_collector_file_is_replaced(job: Job, outside: Path, name: str, kind: str) -> None:
    target = job.folder / name
    target.parent.mkdir(parents=True)
    if kind == "link":
        target.symlink_to(outside / "loot")
    else:
        os.mkfifo(target)
    before = state_of(outside)
    job.write("a", "1")
    with running(job) as sidecar:
        until(lambda: "a" in job.copies(), "the job's file")
        assert sidecar.end(8) == 0
    job.assert_complete()
    assert job.report().state == "sealed"
    assert job.expiries() == [job.report().expired_at] * 2
    assert state_of(outside) == before
    assert target.is_file()
    assert not target.is_symlink()

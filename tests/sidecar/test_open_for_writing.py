"""Files written through a memory map, which changes nothing that stat returns."""

import mmap
import os
import time
from pathlib import Path

from sidecar.process import create_syncer
from sidecar.transfer import is_open_for_writing
from tests.sidecar.sidecars import Job


def test_a_memory_map_without_a_descriptor_counts_as_open_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    path.write_bytes(bytes(4096))
    fd = os.open(path, os.O_RDONLY)
    try:
        assert not is_open_for_writing(fd)
        with path.open("r+b") as file:
            assert is_open_for_writing(fd)
            mapped = mmap.mmap(file.fileno(), 4096)
        assert is_open_for_writing(fd)
        mapped.close()
        assert not is_open_for_writing(fd)
    finally:
        os.close(fd)


def test_the_last_sync_copies_what_was_written_through_a_memory_map(tmp_path: Path) -> None:
    job = Job(tmp_path)
    path = job.write("weights.bin", b"a" * 4096)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    mapped[0:1] = b"b"  # the page is writable from now on, so later writes change no time
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    assert job.copies() == {"weights.bin": b"b" + b"a" * 4095}
    before = path.stat()
    mapped[1:2] = b"c"
    mapped.close()
    assert path.stat().st_ctime_ns == before.st_ctime_ns, "otherwise this test proves nothing"
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    assert job.copies() == {"weights.bin": b"bc" + b"a" * 4094}
    assert job.report().unstable == []
    syncer.close()

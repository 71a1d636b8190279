"""Links and hard links of a job never cost it its own files, neither while main runs nor in the last sync."""

import math
import os
import time
from collections.abc import Callable
from unittest import mock

import pytest

from sidecar.process import create_syncer
from sidecar.scanner import scan_source
from sidecar.sync import MIN_SCAN_SECONDS
from tests.sidecar.sidecars import Job

KB = b"x" * 1024


def link_to_a_large_folder(job: Job) -> set[str]:
    """A link to a data set in PHFS, as in a notebook."""
    folder = job.phfs / "datasets"
    folder.mkdir()
    for number in range(1100):
        (folder / f"{number}.png").touch()
    (job.artifacts / "data").symlink_to("../../phfs/datasets")
    job.write("accuracy.txt", "0.99\n")
    return {"accuracy.txt"}


def link_to_the_folder_above(job: Job) -> set[str]:
    for number in range(1100):
        (job.home / f".cache-{number}").touch()
    (job.artifacts / "home").symlink_to("..")
    job.write("accuracy.txt", "0.99\n")
    return {"accuracy.txt"}


def link_to_a_large_file(job: Job) -> set[str]:
    """As a trainer leaves its last checkpoint."""
    job.write("e9.ckpt", KB * 600)
    (job.artifacts / "last.ckpt").symlink_to("e9.ckpt")
    return {"e9.ckpt"}


def hard_link_to_a_large_file(job: Job) -> set[str]:
    os.link(job.write("last.ckpt", KB * 600), job.artifacts / "e9.ckpt")
    return {"e9.ckpt"}


def many_links(job: Job) -> set[str]:
    names = {f"{number:03}.png" for number in range(600)}
    for name in names:
        job.write(name, "x")
        (job.artifacts / f"0-{name}").symlink_to(name)
    return names


def many_hard_links(job: Job) -> set[str]:
    names = {f"{number:03}.png" for number in range(600)}
    for name in names:
        os.link(job.write(name, "x"), job.artifacts / f"best-{name}")
    return names


def link_to_the_store(job: Job) -> set[str]:
    for number in range(258):
        for path in ("result", ".metadata/expiredAt"):
            file = job.phfs / f"jobArtifacts/job-{number + 2}/{path}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("secret")
    (job.artifacts / "ph").symlink_to("../../phfs")
    job.write("accuracy.txt", "0.99\n")
    return {"accuracy.txt"}


@pytest.mark.parametrize("over_limit", ["reject", "keep"])
@pytest.mark.parametrize(
    ("leave_files", "reason"),
    [
        (link_to_a_large_folder, "link_over_limit"),
        (link_to_the_folder_above, "link_over_limit"),
        (link_to_a_large_file, "link_over_limit"),
        (hard_link_to_a_large_file, "link_over_limit"),
        (many_links, "link_over_limit"),
        (many_hard_links, "link_over_limit"),
        (link_to_the_store, "other_jobs"),
    ],
)
def test_links_cost_a_job_none_of_its_own_files(
    job: Job, leave_files: Callable[[Job], set[str]], reason: str, over_limit: str
) -> None:
    own = leave_files(job)
    syncer = create_syncer(job.settings(limit_size_mb=1, over_limit=over_limit))
    syncer.sync(eager=True)
    running = job.copies()
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    syncer.close()
    report = job.report()
    for copies in (running, job.copies()):
        assert own <= copies.keys()
        assert len(copies) <= 1000
        assert sum(map(len, copies.values())) <= 1024 * 1024
        assert b"secret" not in copies.values()
    assert (report.state, report.limit_exceeded) == ("sealed", False)
    assert report.skipped[reason].files > 0
    assert report.collected.files == len(job.copies())


def test_the_room_that_own_files_leave_is_used_for_links_in_byte_order(job: Job) -> None:
    for name in "cba":
        (job.phfs / name).write_bytes(KB * 300)
        (job.artifacts / f"link-{name}").symlink_to(f"../../phfs/{name}")
    syncer = create_syncer(job.settings(limit_size_mb=1))
    syncer.sync(eager=True)
    assert sorted(job.copies()) == ["link-a", "link-b", "link-c"]
    job.write("own", KB * 500)
    syncer.sync(eager=True)
    assert sorted(job.copies()) == ["link-a", "own"]
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    syncer.close()
    assert sorted(job.copies()) == ["link-a", "own"]
    assert job.report().skipped["link_over_limit"].paths == ["link-b", "link-c"]


def test_the_scan_of_the_last_sync_leaves_time_to_copy(job: Job) -> None:
    with mock.patch("sidecar.sync.scan_source", side_effect=scan_source) as scan:
        syncer = create_syncer(job.settings())
        syncer.sync()
        syncer.end_main(time.time())
        syncer.finish(time.monotonic() + 8)
        syncer.finish(time.monotonic())
        syncer.close()
    running, last, late = (call.args[2] for call in scan.call_args_list)
    assert (running, late) == (math.inf, MIN_SCAN_SECONDS)
    assert 3.5 < last <= 4


def test_the_setting_skip_leaves_links_out(job: Job) -> None:
    job.write("own", "1")
    (job.artifacts / "link").symlink_to("own")
    syncer = create_syncer(job.settings(links="skip"))
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    syncer.close()
    assert set(job.copies()) == {"own"}
    assert (job.report().state, job.report().skipped["link_skipped"].paths) == ("sealed", ["link"])

"""What the sidecar's log tells a user: some lines, each whole, whatever the files are called."""

import json
import re
from typing import Any

import pytest

from artifacts.names import encode_path
from artifacts.report import REASONS
from tests.sidecar.sidecars import Job, running, until

_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) (.*)")


def told(log: str) -> list[str]:
    """The lines without their times and the versions, seconds and expiries in them."""
    found = [_LINE.fullmatch(line) for line in log.splitlines()]
    assert all(found), log
    lines = [f"{line[1]} {line[2]}" for line in found if line]
    return [re.sub(r"(version|seconds|expires)=[^ ]+", r"\1=...", line) for line in lines]


def test_a_job_that_ends_well_is_told_in_four_lines(job: Job) -> None:
    job.write("a", "x" * 2048)
    with running(job, log_level="info") as sidecar:
        sidecar.wait_kept("a")
        until(lambda: "first files" in sidecar.log(), "a line")
        job.write("b", "")
        sidecar.wait_kept("a", "b")
        assert sidecar.end() == 0
        lines = told(sidecar.log())
    common = "job=job-1 group=g"
    limit = 'limit="1000 files (100.0 MB)" over_limit=reject'
    assert lines == [
        f"INFO started {common} version=... folder={job.artifacts} {limit}",
        f"INFO first files are in the store {common} files=1 bytes=2048",
        f"INFO main has ended, the last sync is under way {common} most_seconds=...",
        f"INFO artifacts {common} state=sealed files=2 bytes=2048 seconds=... expires=..."
        ' message="2 files (2.0 kB) in the store"',
    ]


def test_what_was_left_out_is_told_with_the_reason(job: Job) -> None:
    job.write("a", "x")
    job.write("notes.tmp", "x")
    (job.artifacts / "out").symlink_to("/tmp/elsewhere")
    with running(job, log_level="info", exclude="*.tmp", limitfiles=3) as sidecar:
        until(lambda: "first files" in sidecar.log(), "a line")
        assert sidecar.end() == 0
        lines = told(sidecar.log())
    common = "job=job-1 group=g"
    assert lines[0] == f"WARNING unknown setting, ignored {common} name=PHJOB_ARTIFACT_LIMITFILES"
    assert [line.partition(" seconds=")[0] for line in lines[-3:-2]] == [
        f"WARNING artifacts {common} state=incomplete files=1 bytes=1"
    ]
    assert lines[-2:] == [
        f'INFO left out {common} reason=excluded files=1 first=notes.tmp why="{REASONS["excluded"]}"',
        f"WARNING left out {common} reason=outside_volumes files=1 first=out"
        f' why="{REASONS["outside_volumes"]} (/tmp/elsewhere)"',
    ]


def test_a_limit_that_is_passed_while_main_runs_is_told_at_once(job: Job) -> None:
    with running(job, log_level="info", limit_files=1) as sidecar:
        job.write_all(["a", "b"])
        until(lambda: "a limit is passed, for now" in sidecar.log(), "a line")
        assert sidecar.end() == 0
        lines = told(sidecar.log())
    assert len([line for line in lines if "a limit is passed" in line]) == 1
    assert "state=rejected" in lines[-2]
    assert lines[-1].startswith("WARNING left out job=job-1 group=g reason=over_limit files=2 first=a ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_name_forges_a_line_or_a_key(job: Job, form: str) -> None:
    name = "a\n2026-11-28T07:48:09.973Z INFO ended state=sealed\x1b[2J \u202e job=job-2"
    (job.artifacts / name).symlink_to("/tmp/else\nwhere")
    with running(job, log_level="info", log_format=form) as sidecar:
        until(lambda: "started" in sidecar.log(), "its start")
        assert sidecar.end() == 0
        log = sidecar.log()
    last = log.splitlines()[-1]
    assert log.isascii()
    assert "\x1b" not in log
    shown = encode_path(name)  # as everywhere in the store; what is left is quoted
    if form == "json":
        line: dict[str, Any] = json.loads(last)
        assert (line["event"], line["job"], line["first"]) == ("left out", "job-1", shown)
    else:
        assert last.count("job=job-1 group=g reason=outside_volumes") == 1
        assert f"first={json.dumps(shown)} why=" in last


def test_a_form_that_is_none_is_told_and_nothing_is_collected(job: Job) -> None:
    with running(job, log_format="xml") as sidecar:
        until(lambda: "nothing will be collected" in sidecar.log(), "a line")
        assert sidecar.end() == 0
        assert "PHJOB_LOG_FORMAT='xml': use one of: text, json" in sidecar.log()

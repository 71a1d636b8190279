"""The sidecar's log for users: a few lines, and no file name can forge one."""

import json
import re
from typing import Any

import pytest

from artifacts.names import encode_path
from artifacts.report import REASONS
from tests.sidecar.sidecars import Job, running, until

_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) (.*)")


def normalize(log: str) -> list[str]:
    """Return the lines without times, with versions, durations and expiries replaced by `...`."""
    found = [_LINE.fullmatch(line) for line in log.splitlines()]
    assert all(found), log
    lines = [f"{line[1]} {line[2]}" for line in found if line]
    return [re.sub(r"(version|lag_seconds|max_seconds|expires_at)=[^ ]+", r"\1=...", line) for line in lines]


def test_a_successful_run_is_logged_in_four_lines(job: Job) -> None:
    job.write("a", "x" * 2048)
    with running(job, log_level="info") as sidecar:
        sidecar.wait_copied("a")
        until(lambda: "first files stored" in sidecar.log(), "the log line")
        job.write("b", "")
        sidecar.wait_copied("a", "b")
        assert sidecar.end() == 0
        lines = normalize(sidecar.log())
    common = "job=job-1 group=g"
    limit = 'limit="1000 files (100.0 MB)" over_limit=reject'
    assert lines == [
        f"INFO sidecar started {common} version=... folder={job.artifacts} {limit}",
        f"INFO first files stored {common} files=1 bytes=2048",
        f"INFO main ended, last sync started {common} max_seconds=...",
        f"INFO artifacts sealed {common} state=sealed files=2 bytes=2048 lag_seconds=... expires_at=..."
        ' message="2 files (2.0 kB) in the store"',
    ]


def test_files_that_are_not_collected_are_logged_with_the_reason(job: Job) -> None:
    job.write("a", "x")
    job.write("notes.tmp", "x")
    (job.artifacts / "out").symlink_to("/tmp/elsewhere")
    with running(job, log_level="info", exclude="*.tmp", limitfiles=3) as sidecar:
        until(lambda: "first files stored" in sidecar.log(), "the log line")
        assert sidecar.end() == 0
        lines = normalize(sidecar.log())
    common = "job=job-1 group=g"
    assert lines[0] == f"WARNING unknown setting ignored {common} name=PHJOB_ARTIFACT_LIMITFILES"
    assert [line.partition(" lag_seconds=")[0] for line in lines[-3:-2]] == [
        f"WARNING artifacts sealed {common} state=incomplete files=1 bytes=1"
    ]
    assert lines[-2:] == [
        f"INFO files not collected {common} reason=excluded files=1 first_path=notes.tmp"
        f' explanation="{REASONS["excluded"]}"',
        f"WARNING files not collected {common} reason=outside_volumes files=1 first_path=out"
        f' explanation="{REASONS["outside_volumes"]} (/tmp/elsewhere)"',
    ]


def test_exceeding_a_limit_is_logged_while_main_runs(job: Job) -> None:
    with running(job, log_level="info", limit_files=1) as sidecar:
        job.write_all(["a", "b"])
        until(lambda: "limit exceeded" in sidecar.log(), "the log line")
        assert sidecar.end() == 0
        lines = normalize(sidecar.log())
    assert len([line for line in lines if "limit exceeded" in line]) == 1
    assert "state=rejected" in lines[-2]
    assert lines[-1].startswith("WARNING files not collected job=job-1 group=g reason=over_limit files=2 first_path=a ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_file_names_cannot_forge_a_line_or_a_key(job: Job, form: str) -> None:
    name = "a\n2026-11-28T07:48:09.973Z INFO ended state=sealed\x1b[2J \u202e job=job-2"
    (job.artifacts / name).symlink_to("/tmp/else\nwhere")
    with running(job, log_level="info", log_format=form) as sidecar:
        until(lambda: "sidecar started" in sidecar.log(), "the log line")
        assert sidecar.end() == 0
        log = sidecar.log()
    last = log.splitlines()[-1]
    assert log.isascii()
    assert "\x1b" not in log
    encoded = encode_path(name)  # as in the store; the log also quotes the result
    if form == "json":
        line: dict[str, Any] = json.loads(last)
        assert (line["event"], line["job"], line["first_path"]) == ("files not collected", "job-1", encoded)
    else:
        assert last.count("job=job-1 group=g reason=outside_volumes") == 1
        assert f"first_path={json.dumps(encoded)} explanation=" in last


def test_an_invalid_log_format_is_logged_and_nothing_is_collected(job: Job) -> None:
    with running(job, log_format="xml") as sidecar:
        until(lambda: "no files will be collected" in sidecar.log(), "the log line")
        assert sidecar.end() == 0
        assert "PHJOB_LOG_FORMAT='xml': use one of: text, json" in sidecar.log()

"""What local mode says: sentences for a person, or JSON for who collects logs. No name forges a line of either."""

import json
import os
import signal
from typing import Any

import pytest

from tests.local.jobs import Jobs, wait_for

KEEPS = "mkdir artifacts; echo x > artifacts/f"


def documents(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_a_jobs_end_is_one_line_of_json_where_that_is_asked_for(jobs: Jobs) -> None:
    ended = jobs.run(KEEPS, PHJOB_LOG_FORMAT="json")
    told = documents(ended.stderr)[-1]
    assert (told["event"], told["level"], told["job"], told["group"]) == ("ended", "info", "job-1", "Test_Group")
    assert (told["phase"], told["artifacts"], told["told"]) == ("Succeeded", "sealed", "1 file (2 bytes) in the store")
    lines = documents(jobs.places().sidecar_log.read_text())
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "artifacts"]
    assert {(line["job"], line["group"]) for line in lines} == {("job-1", "Test_Group")}


def test_a_server_logs_json_and_no_token(jobs: Jobs) -> None:
    server = jobs.serve(PHJOB_LOG_FORMAT="json")
    jobs.queue(KEEPS)
    wait_for(lambda: jobs.phase() == "Succeeded")
    token = json.loads((jobs.data / "serve.json").read_text())["token"]
    os.killpg(server.pid, signal.SIGINT)
    said = jobs.end(server).stderr
    assert token not in said
    assert "ended" in [line["event"] for line in documents(said)]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_command_forges_a_line(jobs: Jobs, form: str) -> None:
    evil = "/nowhere\nlocal: all is well\x1b[2J"
    ended = jobs.end(jobs.start(evil, "x", PHJOB_LOG_FORMAT=form))
    assert ended.returncode == 127
    assert "\x1b" not in ended.stderr
    assert "\nlocal: all is well" not in ended.stderr
    if form == "json":
        assert documents(ended.stderr)


def test_a_form_that_is_none_is_told(jobs: Jobs) -> None:
    ended = jobs.run(KEEPS, PHJOB_LOG_FORMAT="xml")
    assert ended.returncode == 2
    assert ended.stderr == "local: the job was not started: PHJOB_LOG_FORMAT='xml': use one of: text, json\n"

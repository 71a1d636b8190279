"""The log of local mode: sentences for a person, or JSON. A job's names cannot forge a line of either."""

import json
import os
import signal
from typing import Any

import pytest

from tests.local.driver import JobDriver, wait_for

WRITES_FILE = "mkdir artifacts; echo x > artifacts/f"


def parse_lines(output: str) -> list[dict[str, Any]]:
    """Parse each line as JSON."""
    return [json.loads(line) for line in output.splitlines()]


def test_result_is_logged_as_one_line_of_json(jobs: JobDriver) -> None:
    result = jobs.run(WRITES_FILE, PHJOB_LOG_FORMAT="json")
    last = parse_lines(result.stderr)[-1]
    assert (last["event"], last["level"], last["job"], last["group"]) == ("job ended", "info", "job-1", "Test_Group")
    assert (last["phase"], last["artifact_state"]) == ("Succeeded", "sealed")
    assert last["artifact_message"] == jobs.report().message
    lines = parse_lines(jobs.paths().sidecar_log.read_text())
    assert [lines[0]["event"], lines[-1]["event"]] == ["sidecar started", "artifacts sealed"]
    assert {(line["job"], line["group"]) for line in lines} == {("job-1", "Test_Group")}


def test_serve_logs_json_without_the_token(jobs: JobDriver) -> None:
    server = jobs.serve(PHJOB_LOG_FORMAT="json")
    jobs.queue(WRITES_FILE)
    wait_for(lambda: jobs.phase() == "Succeeded")
    token = json.loads((jobs.data / "serve.json").read_text())["token"]
    os.killpg(server.pid, signal.SIGINT)
    output = jobs.wait(server).stderr
    assert token not in output

    assert "job ended" in [line["event"] for line in parse_lines(output)]


@pytest.mark.parametrize("form", ["text", "json"])
def test_command_cannot_forge_a_log_line(jobs: JobDriver, form: str) -> None:
    evil = "/nowhere\nlocal: all is well\x1b[2J"
    result = jobs.wait(jobs.start(evil, "x", PHJOB_LOG_FORMAT=form))
    assert result.returncode == 127
    assert "\x1b" not in result.stderr
    assert "\nlocal: all is well" not in result.stderr
    if form == "json":
        assert parse_lines(result.stderr)


def test_invalid_log_format_is_rejected(jobs: JobDriver) -> None:
    result = jobs.run(WRITES_FILE, PHJOB_LOG_FORMAT="xml")
    assert result.returncode == 2
    assert result.stderr == "local: the job was not started: PHJOB_LOG_FORMAT='xml': use one of: text, json\n"

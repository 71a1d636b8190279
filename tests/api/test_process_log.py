"""The log of the API's process: its own lines and gunicorn's, in one format, without secrets."""

import json
import re
import socket
from pathlib import Path

import pytest

from tests.api.served import Served, serving
from tests.kube.informers import until

SECRETS = {"PHJOB_API_LINK_KEY": "link-key-" * 5, "PHJOB_API_AUTH": "secret", "PHJOB_API_SHARED_SECRET": "s3cret" * 8}
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) .*")


MALFORMED = [
    b"GET /\x1b[2J\njob=x HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization Bearer HEADERSECRET\r\n\r\n",
    b"GET /api/files/a b?user=x&signature=LINKSECRET HTTP/1.1\r\nHost: a\r\n\r\n",
]


def send_malformed(served: Served) -> None:
    """Send requests that gunicorn itself logs."""
    for request in MALFORMED:
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(request)
            client.recv(1000)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_every_log_line_has_the_configured_format_and_no_secret(tmp_path: Path, log_format: str) -> None:
    with serving(tmp_path, PHJOB_LOG_FORMAT=log_format, **SECRETS) as served:
        served.add_job("job-1", {"a.txt": b"x"})
        bearer = f"Bearer {SECRETS['PHJOB_API_SHARED_SECRET']}"
        path = "/api/files/groups/phusers/jobArtifacts/job-1/a.txt"
        until(lambda: served.ask("GET", path, Authorization=bearer).status == 200, "the job is known")
        send_malformed(served)
    lines = served.log.splitlines()
    assert all(line.isprintable() for line in lines)
    for secret in (SECRETS["PHJOB_API_LINK_KEY"], SECRETS["PHJOB_API_SHARED_SECRET"], "HEADERSECRET", "LINKSECRET"):
        assert secret not in served.log
    if log_format == "text":
        assert [line for line in lines if not LINE.fullmatch(line)] == []
        assert any("INFO setting name=PHJOB_API_LINK_KEY value=***" in line for line in lines)
        assert any("INFO download ended group=phusers job=job-1 path=a.txt" in line for line in lines)
        assert any("WARNING invalid request peer=127.0.0.1 kind=InvalidHeader" in line for line in lines)
    else:
        records = [json.loads(line) for line in lines]
        assert {"setting", "download ended"} <= {record["event"] for record in records}
        invalid = [record for record in records if record["event"] == "invalid request"]
        assert [(record["level"], record["peer"]) for record in invalid] == [("warning", "127.0.0.1")] * len(MALFORMED)

"""What a sidecar tells a scraper: its numbers while it runs, and nothing that could be held against its job."""

import socket
import time
import urllib.error
import urllib.request

import pytest

from tests.sidecar.sidecars import Job, running, until


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return str(answer.read(), "utf-8")


def answers(port: int) -> bool:
    try:
        return get(port, "/healthz") == "ok\n"
    except OSError:
        return False


def series(text: str) -> dict[str, float]:
    """Name with labels -> value."""
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def test_numbers_are_live_and_name_neither_job_nor_group_nor_file(job: Job, port: int) -> None:
    job.write("secret-name", "12345")
    job.write("sub/other", "1234567")
    (job.artifacts / "broken").symlink_to("nowhere")
    with running(job, metrics_listen=f"127.0.0.1:{port}", limit_files=8) as sidecar:
        sidecar.wait_kept("secret-name", "sub/other")
        until(lambda: answers(port), "an answer")
        text = get(port, "/metrics")
        now = series(text)
        assert now["phjob_artifact_sidecar_copied_files_total"] == now["phjob_artifact_sidecar_files"] == 2
        assert now["phjob_artifact_sidecar_copied_bytes_total"] == now["phjob_artifact_sidecar_bytes"] == 12
        assert now["phjob_artifact_sidecar_sync_seconds_count"] >= 1
        assert abs(now["phjob_artifact_sidecar_last_sync_timestamp_seconds"] - time.time()) < 30
        assert now['phjob_artifact_sidecar_skipped_files{reason="broken_link"}'] == 1
        assert now['phjob_artifact_sidecar_state{state="syncing"}'] == 1
        assert now['phjob_artifact_sidecar_limit_used_ratio{limit="files"}'] == 2 / 8
        assert not [word for word in ("secret-name", "job-1", '"g"', 'broken"') if word in text]
        (job.artifacts / "secret-name").unlink()
        until(
            lambda: series(get(port, "/metrics"))["phjob_artifact_sidecar_removed_files_total"] == 1,
            "a removal counted",
        )
        assert sidecar.end() == 0


def test_anything_else_is_not_found(job: Job, port: int) -> None:
    with running(job, metrics_listen=f"127.0.0.1:{port}"):
        until(lambda: answers(port), "an answer")
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            get(port, "/etc/passwd")
        raised.value.close()


def test_a_client_that_says_nothing_more_does_not_keep_others_waiting_for_ever(job: Job, port: int) -> None:
    with running(job, metrics_listen=f"127.0.0.1:{port}") as sidecar:
        until(lambda: answers(port), "an answer")
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            began = time.monotonic()
            assert answers(port)
            assert time.monotonic() - began < 8
            assert sidecar.end(5) == 0


def test_a_taken_port_is_harmless(job: Job) -> None:
    job.write("a", "x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(job, metrics_listen=f"127.0.0.1:{port}") as sidecar:
            sidecar.wait_kept("a")
            until(lambda: "metrics not served" in sidecar.log(), "a line in the log")
            assert sidecar.end() == 0
    job.assert_whole()


def test_a_name_that_cannot_be_looked_up_is_harmless(job: Job) -> None:
    job.write("a", "x")
    with running(job, metrics_listen="nowhere.invalid:19464") as sidecar:
        sidecar.wait_kept("a")
        assert sidecar.end() == 0
    job.assert_whole()

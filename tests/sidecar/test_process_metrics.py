"""The sidecar's metrics: current values, and no label that identifies the job."""

import socket
import time
import urllib.error
import urllib.request

import pytest

from tests.artifacts.slow_clients import slow_clients
from tests.sidecar.sidecars import Job, running, until


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def get(port: int, path: str, timeout: float = 20) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as response:
        return str(response.read(), "utf-8")


def is_healthy(port: int) -> bool:
    try:
        return get(port, "/healthz") == "ok\n"
    except OSError:
        return False


def series(text: str) -> dict[str, float]:
    """Return name with labels -> value."""
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def test_metrics_are_current_and_contain_no_job_group_or_file_name(job: Job, port: int) -> None:
    job.write("secret-name", "12345")
    job.write("sub/other", "1234567")
    (job.artifacts / "broken").symlink_to("nowhere")
    with running(job, metrics_listen=f"127.0.0.1:{port}", limit_files=8) as sidecar:
        sidecar.wait_copied("secret-name", "sub/other")
        until(lambda: is_healthy(port), "a response")
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
            "the removal in the counter",
        )
        assert sidecar.end() == 0


def test_other_paths_return_404(job: Job, port: int) -> None:
    with running(job, metrics_listen=f"127.0.0.1:{port}"):
        until(lambda: is_healthy(port), "a response")
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            get(port, "/etc/passwd")
        raised.value.close()


def test_slow_clients_delay_neither_scrapes_nor_the_end(job: Job, port: int) -> None:
    with running(job, metrics_listen=f"127.0.0.1:{port}") as sidecar:
        until(lambda: is_healthy(port), "a response")
        with slow_clients(port):
            for _ in range(5):
                assert "phjob_artifact_sidecar_files" in get(port, "/metrics", timeout=1)
            assert sidecar.end(5) == 0


def test_a_port_in_use_does_not_affect_collection(job: Job) -> None:
    job.write("a", "x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(job, metrics_listen=f"127.0.0.1:{port}") as sidecar:
            sidecar.wait_copied("a")
            until(lambda: "metrics not served" in sidecar.log(), "the log line")
            assert sidecar.end() == 0
    job.assert_complete()


def test_an_unresolvable_host_does_not_affect_collection(job: Job) -> None:
    job.write("a", "x")
    with running(job, metrics_listen="nowhere.invalid:19464") as sidecar:
        sidecar.wait_copied("a")
        assert sidecar.end() == 0
    job.assert_complete()

"""`python -m controller webhook` as a process: when it is ready, and which versions it reviews pods by."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.controller.pod_samples import IMAGE, primehub_pod
from tests.controller.test_reconcile_process import environ
from tests.controller.test_tls import FIRST, put
from tests.controller.test_version_poller import add_node, is_nodes_request, report_version
from tests.controller.test_webhook import review
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until


class Webhook:
    """The process and requests to it."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def request(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """Return status and text; (0, "") if it does not respond."""
        context = ssl.create_default_context(cadata=FIRST["ca.crt"].decode())
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            assert self.process.poll() is None, "the process has ended"
            return 0, ""
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.request("GET", "/readyz")[0] == 200

    def review(self, pod: dict[str, Any]) -> dict[str, Any]:
        body = self.request("POST", "/inject", json.dumps(review(pod)))[1]
        response: dict[str, Any] = json.loads(body)["response"]
        return response


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@contextmanager
def serving(server: ApiServer, folder: Path, **variables: str) -> Iterator[Webhook]:
    put(folder / "tls", FIRST)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    own = {"PHJOB_WEBHOOK_LISTEN": f"127.0.0.1:{port}", "PHJOB_WEBHOOK_CERTIFICATES": str(folder / "tls")}
    env = {**os.environ, **environ(server, folder), **own, "PHJOB_SIDECAR_IMAGE": IMAGE, **variables}
    process = subprocess.Popen([sys.executable, "-m", "controller", "webhook"], env=env, stderr=subprocess.PIPE)
    try:
        yield Webhook(port, process)
    finally:
        process.terminate()
        process.communicate()


def test_the_webhook_is_ready_once_the_version_is_known_and_reviews_pods_without_requests(
    server: ApiServer, tmp_path: Path
) -> None:
    server.script.add("status", lambda request: request.path == "/version", code=503)
    report_version(server)
    add_node(server, "one", "v1.34.1")
    with serving(server, tmp_path) as webhook:
        until(lambda: webhook.request("GET", "/readyz")[0] == 503, "the webhook serves")
        assert webhook.request("GET", "/readyz")[1] == "the cluster's version is not known yet\n"
        assert webhook.request("GET", "/healthz")[0] == 200
        until(webhook.is_ready, "the webhook is ready")
        before = len(server.requests)
        assert "patch" in webhook.review(primehub_pod())
        assert len(server.requests) == before


def test_an_old_kubelet_prevents_injection(server: ApiServer, tmp_path: Path) -> None:
    report_version(server)
    add_node(server, "new", "v1.34.1")
    add_node(server, "old", "v1.28.9")
    with serving(server, tmp_path) as webhook:
        until(webhook.is_ready, "the webhook is ready")
        (warning,) = webhook.review(primehub_pod())["warnings"]
    assert "1.29 or newer, but the API server or a node is older" in warning
    assert any(map(is_nodes_request, server.requests))


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (
            {"PHJOB_SIDECAR_IMAGE": "", "PHJOB_WEBHOOK_THREADS": "1"},
            [b'not started problem="PHJOB_SIDECAR_IMAGE', b"_THREADS='1': use a whole number from 2 to 1024"],
        ),
        ({"KUBECONFIG": "/nowhere"}, [b"KUBECONFIG=/nowhere cannot be used"]),
    ],
)
def test_invalid_settings_end_the_webhook(
    server: ApiServer, tmp_path: Path, settings: dict[str, str], problems: list[bytes]
) -> None:
    with serving(server, tmp_path, **settings) as webhook:
        _, log = webhook.process.communicate(timeout=20)
    assert webhook.process.returncode == 2
    assert [problem for problem in problems if problem not in log] == []

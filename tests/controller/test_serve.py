"""`python -m controller webhook` as a real process: what it takes to be ready, and what it judges pods by."""

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

from tests.controller.pods import IMAGE, primehub_pod
from tests.controller.test_cluster import add_node, asks_nodes, tell_version
from tests.controller.test_reconcile_process import environ
from tests.controller.test_tls import FIRST, put
from tests.controller.test_webhook import review
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until


class Webhook:
    """The process, and how it is reached."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """Status and text; (0, "") while nobody answers."""
        context = ssl.create_default_context(cadata=FIRST["ca.crt"].decode())
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            assert self.process.poll() is None, "it has ended"
            return 0, ""
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.ask("GET", "/readyz")[0] == 200

    def answer(self, pod: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.ask("POST", "/inject", json.dumps(review(pod)))[1])["response"]
        return said


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@contextmanager
def serving(server: ApiServer, folder: Path, **given: str) -> Iterator[Webhook]:
    put(folder / "tls", FIRST)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    own = {"PHJOB_WEBHOOK_LISTEN": f"127.0.0.1:{port}", "PHJOB_WEBHOOK_CERTIFICATES": str(folder / "tls")}
    env = {**os.environ, **environ(server, folder), **own, "PHJOB_SIDECAR_IMAGE": IMAGE, **given}
    process = subprocess.Popen([sys.executable, "-m", "controller", "webhook"], env=env, stderr=subprocess.PIPE)
    try:
        yield Webhook(port, process)
    finally:
        process.terminate()
        process.communicate()


def test_it_is_ready_once_it_knows_the_clusters_version_and_then_asks_nothing_for_a_pod(
    server: ApiServer, tmp_path: Path
) -> None:
    server.script.add("status", lambda request: request.path == "/version", code=503)
    tell_version(server)
    add_node(server, "one", "v1.34.1")
    with serving(server, tmp_path) as webhook:
        until(lambda: webhook.ask("GET", "/readyz")[0] == 503, "it serves")
        assert webhook.ask("GET", "/readyz")[1] == "the cluster's version is not known yet\n"
        assert webhook.ask("GET", "/healthz")[0] == 200
        until(webhook.is_ready, "it is ready")
        before = len(server.requests)
        assert "patch" in webhook.answer(primehub_pod())
        assert len(server.requests) == before


def test_with_a_kubelet_that_knows_no_native_sidecars_pods_get_none(server: ApiServer, tmp_path: Path) -> None:
    tell_version(server)
    add_node(server, "new", "v1.34.1")
    add_node(server, "old", "v1.28.9")
    with serving(server, tmp_path) as webhook:
        until(webhook.is_ready, "it is ready")
        (warning,) = webhook.answer(primehub_pod())["warnings"]
    assert "1.29 or newer, and the cluster or a node is older" in warning
    assert any(map(asks_nodes, server.requests))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PHJOB_SIDECAR_IMAGE", "", b'not started problem="PHJOB_SIDECAR_IMAGE'),
        ("PHJOB_WEBHOOK_THREADS", "1", b"PHJOB_WEBHOOK_THREADS='1': use a whole number from 2 to 1024"),
        ("KUBECONFIG", "/nowhere", b"KUBECONFIG=/nowhere cannot be used"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_served(
    server: ApiServer, tmp_path: Path, name: str, value: str, says: bytes
) -> None:
    with serving(server, tmp_path, **{name: value}) as webhook:
        _, said = webhook.process.communicate(timeout=20)
    assert webhook.process.returncode == 2
    assert says in said

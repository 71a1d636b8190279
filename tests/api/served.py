"""The service as in a cluster: the real command in a process, with a fake API server."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from tests.kube.apiserver import ApiServer

NAMESPACE = "hub"
GROUP = "phusers"
PHJOBS = f"/apis/primehub.io/v1alpha1/namespaces/{NAMESPACE}/phjobs"
PATIENCE_SECONDS = 30.0


class Answer(NamedTuple):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Served:
    """A running service. `store`: its directory; `cluster`: its API server; `log`: its log, once it has ended."""

    store: Path
    cluster: ApiServer
    port: int
    process: subprocess.Popen[str]
    log: str = ""

    def ask(
        self, method: str, path: str, body: str | None = None, timeout: float = PATIENCE_SECONDS, **headers: str
    ) -> Answer:
        """Send a request over a new connection. `_` in header names is sent as `-`."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def text(self, path: str) -> str:
        return self.ask("GET", path).body.decode()

    def graphql(self, query: str) -> Any:
        body = json.dumps({"query": query})
        return json.loads(self.ask("POST", "/api/graphql", body, Content_Type="application/json").body)

    def add_job(self, job: str, files: dict[str, bytes], **status: object) -> Path:
        """Add a PhJob that has ended, with its artifacts; return its folder."""
        spec = {"groupName": GROUP, "displayName": job, "command": "true"}
        ended = {"phase": "Succeeded", "finishTime": "2026-01-02T03:04:05Z"}
        self.cluster.put(f"{PHJOBS}/{job}", {"metadata": {"name": job}, "spec": spec, "status": ended | status})
        folder = self.store / "groups" / GROUP / "jobArtifacts" / job
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        expiry = folder / ".primehub/metadata/expiredAt"
        expiry.parent.mkdir(parents=True)
        expiry.write_text(f"{int(time.time()) + 86400}\n")
        return folder


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Served]:
    """Run the service, once it is ready. `PORT` in settings is replaced by its port."""
    store = folder / "phfs"
    (store / "groups").mkdir(parents=True)
    with ApiServer() as cluster, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        environ = os.environ | {
            "KUBECONFIG": str(_kubeconfig(folder, cluster.url)),
            "PHJOB_API_STORE": str(store),
            "PHJOB_API_NAMESPACE": NAMESPACE,
            "PHJOB_API_LISTEN": f"127.0.0.1:{port}",
            "PHJOB_API_AUTH": "none",
            "PHJOB_CLEANUP_ENABLED": "false",
        }
        environ |= {name: text.replace("PORT", str(port)) for name, text in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve"], env=environ, stderr=subprocess.PIPE, text=True
        )
        served = Served(store, cluster, port, process)
        try:
            _wait_ready(served)
            yield served
        finally:
            process.terminate()
            _, served.log = process.communicate(timeout=PATIENCE_SECONDS)


def _wait_ready(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError):
            if served.ask("GET", "/readyz").status == 200:
                return
        if served.process.poll() is not None or time.monotonic() > deadline:
            served.process.kill()
            raise AssertionError(f"the service did not start: {served.process.communicate()[1]}")
        time.sleep(0.05)


def _kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(document))
    return path

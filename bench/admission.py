"""Rows on what the webhook adds to the creation of a pod: 100 requests a second, beside an empty webhook, in turn.

Both are the same server with the same TLS; the empty one reads the review's uid and lets it pass. Requests are sent at
their time whether or not earlier ones were answered, on kept connections, as the API server's.
"""

import http.client
import json
import math
import queue
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import flask
from prometheus_client import CollectorRegistry

from bench.stores import Disk
from bench.table import BenchError, Row, absent, absolute, duration
from controller.certificates import BUNDLE, CERTIFICATE, KEY, renew
from controller.inject.cluster_version import ClusterVersion
from controller.metrics import WebhookMetrics
from controller.review import allow, parse_review
from controller.server import WebhookServer
from controller.settings import WebhookSettings
from controller.tls import ServedCertificate
from controller.webhook import create_app

MEDIAN, HIGH = "admission at 100/s, beside an empty webhook: median", "admission at 100/s, beside an empty webhook: p99"
_RATE = 100
_CONNECTIONS = 16
_MOST_MEDIAN_MS, _MOST_HIGH_MS = 20, 100  # of the 3 s that the API server waits
_STARTED_SECONDS = 20


def rows(disk: Disk, quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """All rows of this topic that are wanted."""
    if not any(map(wanted, (MEDIAN, HIGH))):
        return
    try:
        with served("empty") as empty, served("ours") as ours:
            pairs = [(_measure(empty, 2 if quick else 5), _measure(ours, 2 if quick else 5)) for _ in range(5)]
    except (BenchError, OSError, http.client.HTTPException) as error:
        yield from (absent(name, BenchError(str(error))) for name in (MEDIAN, HIGH) if wanted(name))
        return
    for name, share, goal in ((MEDIAN, 0.5, _MOST_MEDIAN_MS), (HIGH, 0.99, _MOST_HIGH_MS)):
        if wanted(name):
            base, mine = ([_percentile(pair[number], share) for pair in pairs] for number in (0, 1))
            yield absolute(name, [1000 * each for each in mine], " ms", goal, duration(base))


@contextmanager
def served(which: str) -> Iterator[Callable[[], http.client.HTTPSConnection]]:
    """A webhook in a process of its own; gives what makes a connection to it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        state = renew({}, ["localhost"], datetime.now(UTC))
        for name in (CERTIFICATE, KEY):
            (Path(folder) / name).write_bytes(state[name])
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        context = ssl.create_default_context(cadata=state[BUNDLE].decode())
        with subprocess.Popen([sys.executable, "-m", "bench.admission", which, folder, str(port)]) as process:
            try:
                _wait_listening(port)
                yield lambda: http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
            finally:
                process.terminate()


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + _STARTED_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError("the webhook did not start")


def _measure(connect: Callable[[], http.client.HTTPSConnection], seconds: int) -> list[float]:
    """Seconds from when each request was due to its answer."""
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    taken: list[float] = []
    failed: list[Exception] = []
    body = json.dumps(_review())

    def ask() -> None:
        connection = connect()
        try:
            while (at := due.get()) is not None:
                connection.request("POST", "/inject", body, {"Content-Type": "application/json"})
                json.loads(connection.getresponse().read())["response"]
                taken.append(time.perf_counter() - at)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    for number in range(seconds * _RATE):
        at = started + number / _RATE
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put(at)
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    if failed or len(taken) < seconds * _RATE:
        raise BenchError(f"{seconds * _RATE - len(taken)} requests were not answered: {failed[:1]}")
    return taken[_RATE // 2 :]  # without the handshakes


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def _review() -> object:
    """A pod as PrimeHub makes it, with the environment and the volumes of one."""
    mounts = {"workingdir": "/home/jovyan", "phfs": "/phfs", "dshm": "/dev/shm", "scripts": "/scripts"}
    projects = {f"dataset-{number}": f"/datasets/{number}" for number in range(10)}
    main = {
        "name": "main",
        "image": "registry.example/tensorflow:2",
        "command": ["/scripts/run-job.sh", "sleep 1\npython train.py"],
        "env": [{"name": f"VARIABLE_{number}", "value": "x" * 40} for number in range(40)],
        "resources": {"limits": {"cpu": "2", "memory": "4Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}},
        "volumeMounts": [
            {"name": name, "mountPath": path} | ({"subPath": "groups/phusers"} if name == "phfs" else {})
            for name, path in (mounts | projects).items()
        ],
    }
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("phfs", *projects)]
    volumes = [{"name": "workingdir", "emptyDir": {}}, {"name": "dshm", "emptyDir": {"medium": "Memory"}}, *claims]
    volumes.append({"name": "scripts", "configMap": {"name": "scripts"}})
    pod = {"metadata": {"name": "job-1"}, "spec": {"containers": [main], "volumes": volumes}}
    request = {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "object": pod}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def _ours(certificate: ServedCertificate) -> flask.Flask:
    settings = WebhookSettings.from_env({"PHJOB_SIDECAR_IMAGE": "registry.example/sidecar:1"})
    metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
    return create_app(settings, lambda: ClusterVersion((1, 34)), metrics, certificate.problem)


def _empty(_certificate: ServedCertificate) -> flask.Flask:
    app = flask.Flask("empty")

    @app.post("/inject")
    def let_pass() -> dict[str, object]:
        return allow(parse_review(flask.request.get_data()).uid)

    return app


if __name__ == "__main__":
    chosen, in_folder, on_port = sys.argv[1:]
    WebhookServer(("127.0.0.1", int(on_port)), 64, in_folder, _ours if chosen == "ours" else _empty).run()

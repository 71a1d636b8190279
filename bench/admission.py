"""Measures the time that the webhook adds to the creation of a pod, at 100 requests/s. Baseline: an empty webhook.

Both webhooks use the same server and TLS; the empty one only reads the review's uid and allows the pod. Requests are
sent on schedule, even if earlier ones are unanswered, over persistent connections, as the API server does.
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
from bench.table import BenchError, Row, failed_row, format_duration, value_row
from controller.certificates import BUNDLE, CERTIFICATE, KEY, renew
from controller.inject.cluster_version import ClusterVersion
from controller.metrics import WebhookMetrics
from controller.review import allow, parse_review
from controller.server import WebhookServer
from controller.settings import WebhookSettings
from controller.tls import ServedCertificate
from controller.webhook import create_app

MEDIAN, P99 = "admission, 100/s (baseline: empty webhook): median", "admission, 100/s (baseline: empty webhook): p99"
_RATE = 100
_CONNECTIONS = 16
_MAX_MEDIAN_MS, _MAX_P99_MS = 20, 100  # the API server waits 3 s
_START_TIMEOUT_SECONDS = 20


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    if not any(map(is_selected, (MEDIAN, P99))):
        return
    try:
        with running_webhook("empty") as empty, running_webhook("ours") as ours:
            pairs = [(_measure(empty, 2 if quick else 5), _measure(ours, 2 if quick else 5)) for _ in range(5)]
    except (BenchError, OSError, http.client.HTTPException) as error:
        yield from (failed_row(name, BenchError(str(error))) for name in (MEDIAN, P99) if is_selected(name))
        return
    for name, share, goal in ((MEDIAN, 0.5, _MAX_MEDIAN_MS), (P99, 0.99, _MAX_P99_MS)):
        if is_selected(name):
            base, mine = ([_percentile(pair[number], share) for pair in pairs] for number in (0, 1))
            yield value_row(name, [1000 * seconds for seconds in mine], " ms", goal, format_duration(base))


@contextmanager
def running_webhook(kind: str) -> Iterator[Callable[[], http.client.HTTPSConnection]]:
    """Run a webhook ("empty" or "ours") in its own process; yield a function that connects to it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        state = renew({}, ["localhost"], datetime.now(UTC))
        for name in (CERTIFICATE, KEY):
            (Path(folder) / name).write_bytes(state[name])
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        context = ssl.create_default_context(cadata=state[BUNDLE].decode())
        with subprocess.Popen([sys.executable, "-m", "bench.admission", kind, folder, str(port)]) as process:
            try:
                _wait_listening(port)
                yield lambda: http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
            finally:
                process.terminate()


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError("the webhook did not start")


def _measure(connect: Callable[[], http.client.HTTPSConnection], seconds: int) -> list[float]:
    """Return the seconds from each request's scheduled time to its response."""
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    durations: list[float] = []
    errors: list[Exception] = []
    body = json.dumps(_review())

    def send_requests() -> None:
        connection = connect()
        try:
            while (due_at := due.get()) is not None:
                connection.request("POST", "/inject", body, {"Content-Type": "application/json"})
                json.loads(connection.getresponse().read())["response"]
                durations.append(time.perf_counter() - due_at)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send_requests) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    for number in range(seconds * _RATE):
        due_at = started + number / _RATE
        time.sleep(max(0.0, due_at - time.perf_counter()))
        due.put(due_at)
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    if errors or len(durations) < seconds * _RATE:
        raise BenchError(f"{seconds * _RATE - len(durations)} requests had no response: {errors[:1]}")
    return durations[_RATE // 2 :]  # the first ones include TLS handshakes


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def _review() -> object:
    """Return the admission review of a pod with PrimeHub's usual environment and volumes."""
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
    return create_app(settings, lambda: ClusterVersion((1, 34)), metrics, certificate.problem, lambda _: True)


def _empty(_certificate: ServedCertificate) -> flask.Flask:
    app = flask.Flask("empty")

    @app.post("/inject")
    def inject() -> dict[str, object]:
        return allow(parse_review(flask.request.get_data()).uid)

    return app


if __name__ == "__main__":
    kind, folder, port = sys.argv[1:]
    WebhookServer(("127.0.0.1", int(port)), 64, folder, _ours if kind == "ours" else _empty).run()

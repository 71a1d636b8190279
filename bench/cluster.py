"""Measures the API's start and the reconciler by the number of finished PhJobs, with 20 ms a write to the API server.

Each measurement runs in its own process: `python -m bench.cluster api|reconciler URL` prints a JSON object.
"""

import gc
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import Configuration

from api.jobs.kubernetes import KubernetesJobs
from bench.jobs_list import COUNTS
from bench.stores import Disk
from bench.table import BenchError, Row, failed_row, value_row
from controller.reconcile.run import Controller
from controller.reconcile.settings import ReconcilerSettings
from kube.client import Client

_WRITE_MILLISECONDS = 20
_NEW_JOBS = 400
_MAX_FIRST_JOB_SECONDS = 1.0
_TIMEOUT_SECONDS = 120.0

Result = dict[str, float]


def rows(_: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    rounds = 1 if quick else 3
    for count in COUNTS:
        for part, measured in (
            ("api", f"API start, {count:,} PhJobs"),
            ("reconciler", f"reconciler, {count:,} finished PhJobs"),
        ):
            if not is_selected(measured):
                continue
            try:
                results = [_measure(part, count) for _ in range(rounds)]
            except BenchError as error:
                yield failed_row(measured, error)
                continue
            for name, unit, goal in _VALUES[part]:
                yield value_row(f"{measured}: {name}", [result[name] for result in results], unit, goal)


_VALUES: dict[str, tuple[tuple[str, str, float | None], ...]] = {
    "api": (("CPU time", " s", None), ("a full collection", " ms", None)),
    "reconciler": (
        ("first new job until its pod", " s", _MAX_FIRST_JOB_SECONDS),
        (f"{_NEW_JOBS} jobs at once", " jobs/s", None),
        ("CPU time of a job", " ms", None),
        ("creation to pod, p99", " s", None),
    ),
}


def _measure(part: str, count: int) -> Result:
    with _server(count) as url:
        command = [sys.executable, "-m", "bench.cluster", part, url]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise BenchError(process.stderr.strip().splitlines()[-1])
    result: Result = json.loads(process.stdout)
    return result


@contextmanager
def _server(count: int) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.api_server", str(count), str(_WRITE_MILLISECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _measure_api(url: str) -> Result:
    client = Client(Configuration(host=url))
    jobs = KubernetesJobs(client, "ns")
    started = time.process_time()
    jobs.start()
    jobs.wait(_TIMEOUT_SECONDS)
    jobs.all()
    _until(gc.isenabled)  # the informer pauses the collector
    seconds = time.process_time() - started
    started = time.process_time()
    gc.collect()
    collection = time.process_time() - started
    jobs.stop()
    client.close()
    return {"CPU time": seconds, "a full collection": collection * 1000}


def _measure_reconciler(url: str) -> Result:
    settings = ReconcilerSettings.from_env({"PHJOB_CONTROLLER_NAMESPACE": "ns", "PHJOB_CONTROLLER_LISTEN": ""})
    client = Client(Configuration(host=url), max_connections=settings.workers + 4)
    controller = Controller(client, settings, "bench")
    controller.start()
    _until(lambda: controller.readiness_problem() == "")
    _request(url, "POST", "jobs?count=1")
    _until(lambda: bool(_request(url, "GET", "progress")["ended"]))
    first = _request(url, "GET", "progress")["pod_seconds"][0]
    started, started_cpu = time.monotonic(), time.process_time()
    _request(url, "POST", f"jobs?count={_NEW_JOBS}")
    _until(lambda: bool(_request(url, "GET", "progress")["ended"] > _NEW_JOBS))
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - started_cpu
    waits = sorted(_request(url, "GET", "progress")["pod_seconds"][1:])
    controller.stop()
    client.close()
    return {
        "first new job until its pod": first,
        f"{_NEW_JOBS} jobs at once": _NEW_JOBS / seconds,
        "CPU time of a job": cpu_seconds / _NEW_JOBS * 1000,
        "creation to pod, p99": waits[len(waits) * 99 // 100],
    }


def _request(url: str, method: str, path: str) -> Any:
    request = urllib.request.Request(f"{url}/bench/{path}", method=method)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        return json.load(response)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not done within {_TIMEOUT_SECONDS:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps({"api": _measure_api, "reconciler": _measure_reconciler}[sys.argv[1]](sys.argv[2])))

"""A hundred concurrent jobs, and the collector's costs. Measurements are printed; only correctness is asserted."""

import json
import statistics
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.kubectl import kubectl
from tests.e2e.system import SIDECAR, System, terminated_state, termination_summary

JOBS = 100
WRITE_FILE = "mkdir artifacts; for n in 1 2 3; do echo $n > artifacts/$n; done"
PAIRS = 5
RESIDENT = f"trap 'exit 0' TERM; {WRITE_FILE}; sleep 1000 & wait"
STARTED = "mkdir -p /phfs/started; date +%s.%N > /phfs/started/$PHJOB_NAME"
PARTS = ("webhook", "controller", "api")


def test_hundred_concurrent_jobs_are_collected(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    resident = system.create_job("scale-resident", RESIDENT)
    names = [f"scale-{number}" for number in range(JOBS)]
    before, started_at = requests(), time.monotonic()
    for name in names:
        system.create_job(name, WRITE_FILE)
    statuses = system.wait_all_ended(names, 240)
    duration, after = time.monotonic() - started_at, requests()
    assert {status["artifact"]["state"] for status in statuses.values()} == {"sealed"}
    assert {status["artifact"]["files"] for status in statuses.values()} == {3}
    pods = system.pods()
    lines = [
        f"{JOBS} concurrent jobs: all collected after {duration:.0f} s",
        f"from SIGTERM of the sidecar to the seal: {quantiles(lags(pods, names))}",
        f"from main's end to the sidecar's end, in the kubelet's whole seconds: {quantiles(gaps(pods, names))}",
        f"memory: {', '.join(memory(system, resident))}",
        f"API calls per job, plus one for its Event: {calls(after - before)}",
    ]
    system.api.query("mutation($id: ID!) { cancelPhJob(where: {id: $id}) { id } }", id=resident)
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def test_measure_the_start_delay_of_a_sidecar(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(PAIRS):
        for kind, durations in seconds.items():
            name = f"scale-{kind}-{number}"
            started_at = time.time()
            system.create_job(name, STARTED, {"primehub.io/artifact-enabled": str(kind == "with").lower()})
            wait_for_end(system, name)
            durations.append(float(system.store.read(f"started/{name}")) - started_at)
            assert (SIDECAR in started_containers(system.pods()[name])) == (kind == "with")
    difference = statistics.median(seconds["with"]) - statistics.median(seconds["without"])
    with capsys.disabled():
        print(
            f"\nfrom creating a PhJob to its first command: {difference:+.2f} s with a sidecar (median of {PAIRS})",
            seconds,
        )


def started_containers(pod: dict[str, Any]) -> list[str]:
    """Return the names of the containers with a status."""
    status = pod["status"]
    return [
        container_status["name"]
        for container_status in [*status.get("initContainerStatuses", []), *status["containerStatuses"]]
    ]


def wait_for_end(system: System, name: str) -> None:
    """Wait for the end of a job that may have no sidecar and therefore no result."""

    def has_ended() -> bool:
        status = system.job(name).get("status", {})
        return status.get("phase") == "Succeeded" and (status.get("artifact") or {}).get("state") != "collecting"

    system.wait(has_ended, f"the end of {name}")


def lags(pods: dict[str, Any], names: list[str]) -> list[float]:
    """Return the seconds from the sidecars' SIGTERM to the seal."""
    return [termination_summary(pods[name])["lagSeconds"] for name in names]


def gaps(pods: dict[str, Any], names: list[str]) -> list[float]:
    """Return the seconds from main's end to the sidecar's end."""
    return [ended_at(pods[name], SIDECAR) - ended_at(pods[name], "main") for name in names]


def ended_at(pod: dict[str, Any], container: str) -> float:
    """Return the time of the container's end in UNIX seconds."""
    return datetime.fromisoformat(terminated_state(pod, container)["finishedAt"]).timestamp()


def quantiles(values: list[float]) -> str:
    """Format median and 99th percentile."""
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):.2f} s, p99 {ordered[int(len(ordered) * 0.99) - 1]:.2f} s"


def memory(system: System, resident: str) -> list[str]:
    """Return the working sets of the parts' pods and of the sidecar in the pod `resident`, as the kubelets report."""
    pods_by_name: dict[str, Any] = {}
    for node in kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split():
        summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        pods = [pod for pod in summary["pods"] if pod["podRef"]["namespace"] == system.namespace]
        pods_by_name |= {pod["podRef"]["name"]: pod for pod in pods}
    [sidecar] = [container for container in pods_by_name[resident]["containers"] if container["name"] == SIDECAR]
    used = {part: max(map(megabytes, (pods_by_name[pod] for pod in system.pods_of(part)))) for part in PARTS}
    return [f"{part} {amount} MB" for part, amount in (used | {"a sidecar": megabytes(sidecar)}).items()]


def megabytes(stats: dict[str, Any]) -> int:
    """Return the working set in MB."""
    return int(stats.get("memory", {}).get("workingSetBytes", 0)) >> 20


def requests() -> Counter[str]:
    """Return the API server's request counts by verb and resource."""
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(kubectl("get", "--raw", "/metrics")):
        for sample in family.samples if family.name == "apiserver_request" else []:
            labels = sample.labels
            counts[f"{labels['verb']} {labels['resource']} {labels['subresource']}".strip()] += int(sample.value)
    return counts


def calls(counts: Counter[str]) -> str:
    """Format the calls per job of the kinds that the product makes; others may make some of them too."""
    names = ("PATCH phjobs status", "PATCH phjobs", "GET phjobs", "POST pods", "GET pods", "DELETE pods")
    return ", ".join(f"{counts[name] / JOBS:.2f} {name}" for name in names)

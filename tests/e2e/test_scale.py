"""A hundred jobs at once, and what the collector costs: numbers are printed, only what must hold is asserted."""

import json
import statistics
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.kubectl import kubectl
from tests.e2e.system import SIDECAR, System, ended_state, summary_of

JOBS = 100
LEAVE = "mkdir artifacts; for n in 1 2 3; do echo $n > artifacts/$n; done"
PAIRS = 5
RESIDENT = f"trap 'exit 0' TERM; {LEAVE}; sleep 1000 & wait"
STARTED = "mkdir -p /phfs/started; date +%s.%N > /phfs/started/$PHJOB_NAME"
PARTS = ("webhook", "controller", "api")


def test_a_hundred_jobs_at_once_are_all_collected(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    resident = system.create_job("scale-resident", RESIDENT)
    names = [f"scale-{number}" for number in range(JOBS)]
    before, began = requests(), time.monotonic()
    for name in names:
        system.create_job(name, LEAVE)
    statuses = system.all_ended(names)
    took, after = time.monotonic() - began, requests()
    assert {status["artifact"]["state"] for status in statuses.values()} == {"sealed"}
    assert {status["artifact"]["files"] for status in statuses.values()} == {3}
    pods = system.pods()
    said = [
        f"{JOBS} jobs at once: all collected after {took:.0f} s",
        f"main's end told to the sidecar, to sealed: {quantiles(lags(pods, names))}",
        f"main's end to the sidecar's, by the kubelet's clock of whole seconds: {quantiles(gaps(pods, names))}",
        f"memory: {', '.join(memory(system, resident))}",
        f"API calls per job, and one for its event: {calls(after - before)}",
    ]
    system.service.ask("mutation($id: ID!) { cancelPhJob(where: {id: $id}) { id } }", id=resident)
    with capsys.disabled():
        print("\n" + "\n".join(said))


def test_what_a_sidecar_adds_to_a_pods_start(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(PAIRS):
        for kind, collected in seconds.items():
            name = f"scale-{kind}-{number}"
            began = time.time()
            system.create_job(name, STARTED, {"primehub.io/artifact-enabled": str(kind == "with").lower()})
            wait_for_end(system, name)
            collected.append(float(system.store.read(f"started/{name}")) - began)
            assert (SIDECAR in started_containers(system.pods()[name])) == (kind == "with")
    more = statistics.median(seconds["with"]) - statistics.median(seconds["without"])
    with capsys.disabled():
        print(f"\nfrom a PhJob to its main's first command: {more:+.2f} s with a sidecar (median of {PAIRS})", seconds)


def started_containers(pod: dict[str, Any]) -> list[str]:
    status = pod["status"]
    return [each["name"] for each in [*status.get("initContainerStatuses", []), *status["containerStatuses"]]]


def wait_for_end(system: System, name: str) -> None:
    """Of a job that may have no sidecar, of which nothing is told then."""

    def has_ended() -> bool:
        status = system.job(name).get("status", {})
        return status.get("phase") == "Succeeded" and (status.get("artifact") or {}).get("state") != "collecting"

    system.wait(has_ended, f"the end of {name}")


def lags(pods: dict[str, Any], names: list[str]) -> list[float]:
    return [summary_of(pods[name])["lagSeconds"] for name in names]


def gaps(pods: dict[str, Any], names: list[str]) -> list[float]:
    return [ended_at(pods[name], SIDECAR) - ended_at(pods[name], "main") for name in names]


def ended_at(pod: dict[str, Any], container: str) -> float:
    return datetime.fromisoformat(ended_state(pod, container)["finishedAt"]).timestamp()


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):.2f} s, p99 {ordered[int(len(ordered) * 0.99) - 1]:.2f} s"


def memory(system: System, resident: str) -> list[str]:
    """The working set of each part, as the kubelets measure it: of pods, and of the sidecar in the pod `resident`."""
    found: dict[str, Any] = {}
    for node in kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split():
        summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        pods = [pod for pod in summary["pods"] if pod["podRef"]["namespace"] == system.namespace]
        found |= {pod["podRef"]["name"]: pod for pod in pods}
    [sidecar] = [each for each in found[resident]["containers"] if each["name"] == SIDECAR]
    used = {part: max(map(megabytes, (found[pod] for pod in system.pods_of(part)))) for part in PARTS}
    return [f"{part} {amount} MB" for part, amount in (used | {"a sidecar": megabytes(sidecar)}).items()]


def megabytes(measured: dict[str, Any]) -> int:
    return int(measured.get("memory", {}).get("workingSetBytes", 0)) >> 20


def requests() -> Counter[str]:
    """How often the API server was asked for what is asked for each job, by verb and resource."""
    asked: Counter[str] = Counter()
    for family in text_string_to_metric_families(kubectl("get", "--raw", "/metrics")):
        for sample in family.samples if family.name == "apiserver_request" else []:
            labels = sample.labels
            asked[f"{labels['verb']} {labels['resource']} {labels['subresource']}".strip()] += int(sample.value)
    return asked


def calls(made: Counter[str]) -> str:
    """Those that the product makes, though others make some of them too. The test's own lists are left out."""
    names = ("PATCH phjobs status", "PATCH phjobs", "GET phjobs", "POST pods", "GET pods", "DELETE pods")
    return ", ".join(f"{made[name] / JOBS:.2f} {name}" for name in names)

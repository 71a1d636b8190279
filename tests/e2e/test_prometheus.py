"""A real Prometheus scrapes all parts while jobs end in different ways: metrics, rules and dashboards are correct."""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from manifests.dashboards.check import NO_DATA, query_results
from tests.e2e.kubectl import KUBECTL, kubectl
from tests.e2e.prometheus import Prometheus, running_prometheus
from tests.e2e.system import Document, System
from tests.machine import require
from tests.prometheus.rules import RUNBOOKS, documented_series

WRITE_FILE = "mkdir artifacts; echo kept > artifacts/f"
LARGE = "mkdir artifacts; cd artifacts; for name in a b c; do head -c 600K /dev/zero > $name; done; echo small > d"
ONE_MB = {"primehub.io/artifact-limit-size-mb": "1"}
JOBS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "metrics-killed": (f"{WRITE_FILE}; sleep 1000; true", {}),
    "metrics-long": (
        f"rm -f /phfs/metrics-seen; {WRITE_FILE}; until test -e /phfs/metrics-seen; do sleep 0.2; done",
        {},
    ),
    "metrics-succeeds": (WRITE_FILE, {}),
    "metrics-fails": (f"{WRITE_FILE}; echo more > artifacts/g; exit 7", {}),
    "metrics-empty": ("true", {}),
    "metrics-rejected": (LARGE, ONE_MB),
    "metrics-fits": (LARGE, ONE_MB | {"primehub.io/artifact-over-limit": "keep"}),
    "metrics-outside": ("mkdir /tmp/out; echo lost > /tmp/out/f; ln -s /tmp/out artifacts", {}),
}
COUNTERS = {
    "pods": "sum(phjob_artifact_results_total)",
    "files": "sum(phjob_artifact_collected_files_total)",
    "bytes": "sum(phjob_artifact_collected_bytes_total)",
    "over limit": "sum(phjob_artifact_over_limit_total)",
    "sealed": "sum(phjob_artifact_lag_seconds_count)",
    "injected": 'sum(phjob_artifact_webhook_requests_total{outcome="injected"})',
    "group results": "sum(phjob_artifact_group_results_total)",
    "downloads": 'sum(phjob_artifact_downloads_total{kind="file", result="complete"})',
    "downloaded": "sum(phjob_artifact_download_bytes_total)",
    "removed": "sum(phjob_artifact_cleanup_removed_total)",
}
RESULTS = "sum by (state, reason) (phjob_artifact_results_total)"
ACTIVE = "ALERTS{alertname!='PhJobArtifactsStoreNearlyFull'}"  # the store is the disk of the machine
LIVE_FILES = 'phjob_artifact_sidecar_files{pod="metrics-long"}'
# These have no series until a daily cleanup has measured the store with artifacts of a group.
WITHOUT_INITIAL_SERIES = {f"phjob_artifact_group_kept_{unit}" for unit in ("jobs", "files", "bytes")}


@dataclass(frozen=True)
class MetricsRun:
    """Metrics before and after a set of jobs.

    `before`, `after`: the values of COUNTERS. `results`: increase of the results by state and reason. `live_files`:
    files reported by the sidecar of a running job. `alerts`: active alerts before the jobs.
    """

    statuses: dict[str, Document]
    before: dict[str, float]
    after: dict[str, float]
    results: dict[tuple[str, ...], float]
    live_files: float
    alerts: list[Document]

    def increase(self, counter: str) -> float:
        """Return the increase of a counter."""
        return self.after[counter] - self.before[counter]


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes all replicas."""
    require(shutil.which("prometheus"), "prometheus (Debian's package)")
    with running_prometheus(system.access, system.namespace, tmp_path_factory.mktemp("prometheus")) as running:
        expected = {("webhook",): 2, ("controller",): 2, ("api",): 2}
        parts = 'count by (part) (phjob_artifact_build_info{part!="sidecar"})'
        system.wait(lambda: running.values(parts, "part") == expected, "all replicas are scraped", 60)
        yield running


@pytest.fixture(scope="module")
def metrics_run(system: System, prometheus: Prometheus) -> MetricsRun:
    """Run jobs that succeed, fail, exceed a limit and are killed, download a file and clean up; return the metrics."""
    started_at = time.time()
    system.wait(lambda: prometheus.has_evaluated_since(started_at), "every rule is evaluated", 30)
    alerts = prometheus.query(ACTIVE)
    before, results = counters(prometheus), prometheus.values(RESULTS, "state", "reason")
    for name, (command, annotations) in JOBS.items():
        system.create_job(name, command, annotations)
    system.wait(lambda: system.store.files("metrics-killed"), "the first copy of metrics-killed")
    kubectl("-n", system.namespace, "delete", "pod", "metrics-killed", "--grace-period=0", "--force")
    system.wait(lambda: prometheus.value(LIVE_FILES) > 0, "the sidecar of metrics-long reports a file", 60)
    live_files = prometheus.value(LIVE_FILES)
    system.store.touch("metrics-seen")
    statuses = system.wait_all_ended(list(JOBS))
    system.api.download(f"groups/{system.group}/jobArtifacts/metrics-succeeds/f")
    system.store.expire("metrics-fails")
    assert system.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    expected = {"pods": len(JOBS), "downloads": 1, "removed": 1}
    system.wait(
        lambda: all(counters(prometheus)[name] - before[name] >= more for name, more in expected.items()),
        lambda: f"the counters increase: before {before}, now {counters(prometheus)}",
        30,
    )
    now = prometheus.values(RESULTS, "state", "reason")
    return MetricsRun(
        statuses,
        before,
        counters(prometheus),
        {key: now[key] - results[key] for key in now if now[key] > results[key]},
        live_files,
        alerts,
    )


def counters(prometheus: Prometheus) -> dict[str, float]:
    """Return the current values of COUNTERS."""
    return {name: prometheus.value(expression) for name, expression in COUNTERS.items()}


def test_no_alert_is_active_before_jobs_run(metrics_run: MetricsRun) -> None:
    assert metrics_run.alerts == []


def test_results_match_the_jobs(metrics_run: MetricsRun) -> None:
    expected = Counter(status["artifact"]["state"] for status in metrics_run.statuses.values())
    states: Counter[str] = Counter()
    for (state, _), pods in metrics_run.results.items():
        states[state] += int(pods)
    assert states == expected
    assert metrics_run.increase("group results") == metrics_run.increase("pods") == len(JOBS)


def test_reasons_match_the_jobs(metrics_run: MetricsRun) -> None:
    killed = {key for key in metrics_run.results if key[1] in ("interrupted", "vanished", "lost", "silent")}
    assert sum(metrics_run.results[key] for key in killed) == 1
    rest = {key: pods for key, pods in metrics_run.results.items() if key not in killed}
    assert rest == {
        ("sealed", "none"): 3,
        ("sealed", "over_limit"): 1,
        ("empty", "none"): 1,
        ("rejected", "over_limit"): 1,
        ("incomplete", "outside_volumes"): 1,
    }


def test_files_bytes_and_limits_match_the_jobs(metrics_run: MetricsRun) -> None:
    artifacts = [status["artifact"] for status in metrics_run.statuses.values()]
    assert metrics_run.increase("files") == sum(artifact.get("files", 0) for artifact in artifacts) >= 6
    assert metrics_run.increase("bytes") == sum(artifact.get("bytes", 0) for artifact in artifacts) >= 600 * 1024
    assert metrics_run.increase("over limit") == 2
    assert metrics_run.increase("sealed") == len(JOBS) - 1
    assert metrics_run.increase("injected") == len(JOBS)


def test_downloads_and_removals_are_counted(metrics_run: MetricsRun) -> None:
    assert (metrics_run.increase("downloads"), metrics_run.increase("downloaded"), metrics_run.increase("removed")) == (
        1,
        len("kept\n"),
        1,
    )


def test_running_sidecar_reports_its_files(metrics_run: MetricsRun) -> None:
    assert metrics_run.live_files == 1


def test_metrics_are_exactly_the_documented_ones(metrics_run: MetricsRun, prometheus: Prometheus) -> None:
    documented = {
        series
        for name, all_of in documented_series().items()
        if name not in WITHOUT_INITIAL_SERIES
        for series in all_of
    }
    actual = {name for name in prometheus.metric_names() if name.startswith("phjob_artifact_")}
    assert documented - actual == set()
    assert actual - documented <= WITHOUT_INITIAL_SERIES


def test_every_rule_is_evaluated_without_error(metrics_run: MetricsRun, prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    assert len(rules) > 30
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


def test_recording_rules_have_values(metrics_run: MetricsRun, prometheus: Prometheus) -> None:
    records = [rule["name"] for rule in prometheus.rules() if rule["type"] == "recording"]
    assert [name for name in records if not prometheus.query(name)] == [SIDECARS]


SIDECARS = "phjob_artifact:sidecars_failed_by_store:count"  # no value, because no sidecar has store errors


def test_no_panel_is_empty(metrics_run: MetricsRun, prometheus: Prometheus) -> None:
    results = list(query_results(prometheus.url))
    for query, result in results:
        print(f"{query.board}: {query.title}\n    {query.expression}\n    = {result}")
    assert [query for query, result in results if result == NO_DATA] == []


def test_runbook_queries_and_commands_work(metrics_run: MetricsRun, system: System, prometheus: Prometheus) -> None:
    for query in re.findall(r"^```promql\n(.*?)^```", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL):
        prometheus.query(query)
    checks = re.findall(r"^\*\*Diagnosis\*\*(.*?)^\*\*Mitigation\*\*", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    script = "".join(block for check in checks for block in re.findall(r"^```sh\n(.*?)^```", check, re.M | re.S))
    for placeholder, value in {"NAMESPACE": system.namespace, "GROUP": system.group, "JOB": "metrics-long"}.items():
        script = script.replace(placeholder, value)
    commands = sorted(set(script.splitlines()))
    assert len(commands) > 20
    assert [text for text in map(problem, commands) if text] == []


def problem(command: str) -> str:
    """Run a command; return its error, or "" if it succeeds. A grep without matches is not an error."""
    path = f"{KUBECTL.parent}:{os.environ['PATH']}"
    options: dict[str, Any] = {"env": os.environ | {"PATH": path}, "capture_output": True, "text": True, "timeout": 60}
    process = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, **options)
    errors = [line for line in process.stderr.splitlines() if not line.startswith("Defaulted container")]
    no_match = process.returncode == 1 and "| grep" in command and not errors
    return "" if process.returncode == 0 or no_match else f"{command}: {process.returncode} {errors}"

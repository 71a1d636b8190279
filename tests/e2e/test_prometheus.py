"""A real Prometheus scrapes all parts while jobs end in every way: what it sees is what there was."""

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
from tests.e2e.prometheus import Prometheus, prometheus
from tests.e2e.system import Document, System
from tests.machine import require
from tests.prometheus.rules import RUNBOOKS, documented_series

LEAVE = "mkdir artifacts; echo kept > artifacts/f"
LARGE = "mkdir artifacts; cd artifacts; for each in a b c; do head -c 600K /dev/zero > $each; done; echo small > d"
ONE_MB = {"primehub.io/artifact-limit-size-mb": "1"}
JOBS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "metrics-killed": (f"{LEAVE}; sleep 1000; true", {}),
    "metrics-long": (f"rm -f /phfs/metrics-seen; {LEAVE}; until test -e /phfs/metrics-seen; do sleep 0.2; done", {}),
    "metrics-succeeds": (LEAVE, {}),
    "metrics-fails": (f"{LEAVE}; echo more > artifacts/g; exit 7", {}),
    "metrics-empty": ("true", {}),
    "metrics-rejected": (LARGE, ONE_MB),
    "metrics-fits": (LARGE, ONE_MB | {"primehub.io/artifact-over-limit": "keep"}),
    "metrics-outside": ("mkdir /tmp/out; echo lost > /tmp/out/f; ln -s /tmp/out artifacts", {}),
}
COUNTED = {
    "pods": "sum(phjob_artifact_results_total)",
    "files": "sum(phjob_artifact_collected_files_total)",
    "bytes": "sum(phjob_artifact_collected_bytes_total)",
    "over limit": "sum(phjob_artifact_over_limit_total)",
    "sealed": "sum(phjob_artifact_lag_seconds_count)",
    "injected": 'sum(phjob_artifact_webhook_requests_total{outcome="injected"})',
    "of groups": "sum(phjob_artifact_group_results_total)",
    "downloads": 'sum(phjob_artifact_downloads_total{kind="file", result="complete"})',
    "downloaded": "sum(phjob_artifact_download_bytes_total)",
    "removed": "sum(phjob_artifact_cleanup_removed_total)",
}
RESULTS = "sum by (state, reason) (phjob_artifact_results_total)"
ACTIVE = "ALERTS{alertname!='PhJobArtifactsStoreNearlyFull'}"  # the store is the machine's own disk
LIVE = 'phjob_artifact_sidecar_files{pod="metrics-long"}'
# Of which no series is there until something is kept of a group when the store is measured, after a daily cleanup.
LATER = {f"phjob_artifact_group_kept_{what}" for what in ("jobs", "files", "bytes")}


@dataclass(frozen=True)
class Story:
    """`before`, `after`: what was counted. `results`: how many pods more, by state and reason. `live`: files that the
    sidecar of a running job told of. `alerts`: those active before."""

    statuses: dict[str, Document]
    before: dict[str, float]
    after: dict[str, float]
    results: dict[tuple[str, ...], float]
    live: float
    alerts: list[Document]

    def grown(self, what: str) -> float:
        return self.after[what] - self.before[what]


@pytest.fixture(scope="module")
def found(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    require(shutil.which("prometheus"), "prometheus (Debian's package)")
    with prometheus(system.access, system.namespace, tmp_path_factory.mktemp("prometheus")) as running:
        expected = {("webhook",): 2, ("controller",): 2, ("api",): 2}
        parts = 'count by (part) (phjob_artifact_build_info{part!="sidecar"})'
        system.wait(lambda: running.values(parts, "part") == expected, "all replicas are scraped", 60)
        yield running


@pytest.fixture(scope="module")
def story(system: System, found: Prometheus) -> Story:
    """Jobs that succeed, fail, leave too much and are killed; a download; a cleanup."""
    begun = time.time()
    system.wait(lambda: found.has_judged_since(begun), "every rule is evaluated", 30)
    alerts = found.ask(ACTIVE)
    before, results = counted(found), found.values(RESULTS, "state", "reason")
    for name, (command, annotations) in JOBS.items():
        system.create_job(name, command, annotations)
    system.wait(lambda: system.store.files("metrics-killed"), "the first copy of metrics-killed")
    kubectl("-n", system.namespace, "delete", "pod", "metrics-killed", "--grace-period=0", "--force")
    system.wait(lambda: found.value(LIVE) > 0, "the sidecar of metrics-long tells of a file", 60)
    live = found.value(LIVE)
    system.store.touch("metrics-seen")
    statuses = system.all_ended(list(JOBS))
    system.service.download(f"groups/{system.group}/jobArtifacts/metrics-succeeds/f")
    system.store.expire("metrics-fails")
    assert system.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    done = {"pods": len(JOBS), "downloads": 1, "removed": 1}
    system.wait(
        lambda: all(counted(found)[what] - before[what] >= more for what, more in done.items()),
        lambda: f"all is counted: before {before}, now {counted(found)}",
        30,
    )
    now = found.values(RESULTS, "state", "reason")
    return Story(
        statuses,
        before,
        counted(found),
        {key: now[key] - results[key] for key in now if now[key] > results[key]},
        live,
        alerts,
    )


def counted(found: Prometheus) -> dict[str, float]:
    return {what: found.value(expression) for what, expression in COUNTED.items()}


def test_before_jobs_come_no_alert_fires_or_is_about_to(story: Story) -> None:
    assert story.alerts == []


def test_results_are_those_of_the_jobs_that_ran(story: Story) -> None:
    told_of = Counter(status["artifact"]["state"] for status in story.statuses.values())
    states: Counter[str] = Counter()
    for (state, _), pods in story.results.items():
        states[state] += int(pods)
    assert states == told_of
    assert story.grown("of groups") == story.grown("pods") == len(JOBS)


def test_reasons_are_those_of_what_was_done_to_the_jobs(story: Story) -> None:
    killed = {key for key in story.results if key[1] in ("interrupted", "vanished", "lost", "silent")}
    assert sum(story.results[key] for key in killed) == 1
    rest = {key: pods for key, pods in story.results.items() if key not in killed}
    assert rest == {
        ("sealed", "none"): 3,
        ("sealed", "over_limit"): 1,
        ("empty", "none"): 1,
        ("rejected", "over_limit"): 1,
        ("incomplete", "outside_volumes"): 1,
    }


def test_files_bytes_and_limits_are_those_of_the_jobs_that_ran(story: Story) -> None:
    artifacts = [status["artifact"] for status in story.statuses.values()]
    assert story.grown("files") == sum(each.get("files", 0) for each in artifacts) >= 6
    assert story.grown("bytes") == sum(each.get("bytes", 0) for each in artifacts) >= 600 * 1024
    assert story.grown("over limit") == 2
    assert story.grown("sealed") == len(JOBS) - 1
    assert story.grown("injected") == len(JOBS)


def test_downloads_and_removals_are_those_that_were_done(story: Story) -> None:
    assert (story.grown("downloads"), story.grown("downloaded"), story.grown("removed")) == (1, len("kept\n"), 1)


def test_a_sidecar_tells_of_what_its_job_has_left_so_far(story: Story) -> None:
    assert story.live == 1


def test_every_metric_of_the_documentation_is_there_and_no_other(story: Story, found: Prometheus) -> None:
    promised = {series for name, all_of in documented_series().items() if name not in LATER for series in all_of}
    seen = {name for name in found.names() if name.startswith("phjob_artifact_")}
    assert promised - seen == set()
    assert seen - promised <= LATER


def test_every_rule_is_evaluated_without_a_fault(story: Story, found: Prometheus) -> None:
    rules = found.rules()
    assert len(rules) > 30
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


def test_records_have_values(story: Story, found: Prometheus) -> None:
    records = [rule["name"] for rule in found.rules() if rule["type"] == "recording"]
    assert [name for name in records if not found.ask(name)] == [SIDECARS]


SIDECARS = "phjob_artifact:sidecars_failed_by_store:count"  # of sidecars that the store fails, of which there are none


def test_no_panel_is_empty(story: Story, found: Prometheus) -> None:
    answers = list(query_results(found.url))
    for query, answer in answers:
        print(f"{query.board}: {query.title}\n    {query.expression}\n    = {answer}")
    assert [query for query, answer in answers if answer == NO_DATA] == []


def test_what_runbooks_say_to_check_can_be_checked(story: Story, system: System, found: Prometheus) -> None:
    for query in re.findall(r"^```promql\n(.*?)^```", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL):
        found.ask(query)
    checks = re.findall(r"^\*\*Diagnosis\*\*(.*?)^\*\*Mitigation\*\*", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    shown = "".join(block for check in checks for block in re.findall(r"^```sh\n(.*?)^```", check, re.M | re.S))
    commands = sorted(set(shown.replace("NAMESPACE", system.namespace).replace("JOB", "metrics-long").splitlines()))
    assert len(commands) > 20
    assert [said for said in map(problem, commands) if said] == []


def problem(command: str) -> str:
    """What is wrong with a command as somebody types it; that grep finds nothing is not."""
    path = f"{KUBECTL.parent}:{os.environ['PATH']}"
    words: dict[str, Any] = {"env": os.environ | {"PATH": path}, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, **words)
    said = [line for line in done.stderr.splitlines() if not line.startswith("Defaulted container")]
    found_nothing = done.returncode == 1 and "| grep" in command and not said
    return "" if done.returncode == 0 or found_nothing else f"{command}: {done.returncode} {said}"

"""The alerts fire exactly when they should, use documented metrics, and have a section in the runbooks."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.prometheus.rules import (
    COMPONENT,
    METRICS,
    RULES,
    RUNBOOKS,
    alerts,
    documented_series,
    groups,
    promtool,
    rules,
)
from tests.test_log import calls, event, keys

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
ALERTS = alerts()
RECORDS = {rule["record"] for rule in rules() if "record" in rule}
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL))
LEFT_BEHIND = ["not removed", "not examined", "not listed", "record unreadable", "last cleanup"]
GREP = r"(?m) logs .*\| grep (?:-E )?'?([^'\n]+)'?$"
DAYS = 3
# Reasons that the job itself causes: files that cannot be collected, or a pod that cannot have a sidecar.
JOB_REASONS = {"outside_volumes", "too_deep", "not_a_folder", "unreadable", "invalid_name", "store_conflict"} | {
    *("name-taken", "annotations-full", "not-linux", "no-main", "no-home", "no-phfs", "no-group", "too-large")
}


def test_rules_are_valid() -> None:
    promtool("check", "rules", *RULES)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_as_expected(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_firing_and_a_quiet_case(name: str) -> None:
    assert {bool(check.get("exp_alerts")) for check in alert_checks() if check["alertname"] == name} == {True, False}


@cache
def alert_checks() -> list[dict[str, Any]]:
    """Return the checks of all cases, which take a while to parse."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    return [check for case in cases for check in case["alert_rule_test"]]


@pytest.mark.parametrize(("window", "records"), [("1h", 3), ("30m", 2)])
def test_short_and_long_records_have_the_same_expression(window: str, records: int) -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    short = {name: expression for name, expression in recorded.items() if name.endswith(f":increase{window}")}
    assert len(short) == records
    for name, expression in short.items():
        assert expression.replace(f"[{window}]", "[6h]") == recorded[name.replace(window, "6h")]


def test_no_alert_fires_without_jobs(tmp_path: Path) -> None:
    """Counters stay 0, the cleanup runs daily, the certificate is new; Prometheus starts before the pods."""
    constant = {
        'build_info{part="webhook"}': 1,
        'build_info{part="controller"}': 1,
        'build_info{part="api"}': 1,
        'leader{pod="a"}': 1,
        'leader{pod="b"}': 0,
        "injection_off": 0,
        'watch_age_seconds{resource="phjobs"}': 59,
        "queue_depth": 0,
        "webhook_certificate_expiry_timestamp_seconds": 90 * 86400,
        "store_size_bytes": 1000,
        "store_available_bytes": 500,
        "cleanup_oldest_due_age_seconds": 0,
        "cleanup_blocked": 0,
    }
    values = {name: f"_ {value}x{DAYS * 288}" for name, value in constant.items()}
    daily = " ".join(f"{day * 86400 + 60}x287" for day in range(DAYS))
    values |= {f"cleanup_last_{event}_timestamp_seconds": f"_ 0 {daily}" for event in ("run", "success")}
    rows = re.findall(r"^\| `phjob_artifact_(\w+)` \| (counter|histogram) ", METRICS, re.MULTILINE)
    counters = {name if kind == "counter" else f"{name}_count" for name, kind in rows}
    values |= dict.fromkeys(counters, f"_ 0x{DAYS * 288}")
    test = {
        "interval": "5m",
        "input_series": [{"series": f"phjob_artifact_{name}", "values": points} for name, points in values.items()],
        "promql_expr_test": [
            {"expr": 'count_over_time(ALERTS{alertstate="firing"}[3d])', "eval_time": "3d", "exp_samples": []}
        ],
    }
    path = tmp_path / "test.yaml"
    files = [str(path) for path in RULES]
    path.write_text(yaml.safe_dump({"rule_files": files, "evaluation_interval": "5m", "tests": [test]}))
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_annotations_and_a_runbook_section(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    parts = re.findall(r"^\*\*(Meaning|Diagnosis|Mitigation)\*\*", SECTIONS[name], re.MULTILINE)
    assert parts == ["Meaning", "Diagnosis", "Mitigation"]


def test_runbooks_have_only_existing_alerts_and_links() -> None:
    assert list(SECTIONS) == sorted(SECTIONS, key=list(ALERTS).index)
    anchors = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOKS.read_text()))
    assert anchors <= {name.lower() for name in SECTIONS}


@pytest.mark.parametrize(
    ("name", "messages"),
    {
        "StoreFailing": ["store failed", "download failed", "not measured", "last cleanup"],
        "ApiFailing": ["store failed", "graphql request failed", "token not reviewed", "forbidden"],
        "CleanupNotSucceeding": LEFT_BEHIND,
        "Overdue": LEFT_BEHIND,
    }.items(),
)
def test_runbook_greps_find_the_log_messages(name: str, messages: list[str]) -> None:
    greps = re.findall(GREP, SECTIONS[f"PhJobArtifacts{name}"])
    assert [message for message in messages if not any(re.search(grep, message) for grep in greps)] == []


def test_runbook_greps_match_only_logged_messages() -> None:
    logged = {" ".join([event(call), *keys(call)]) for _, call in calls()}
    sought = {words for grep in re.findall(GREP, RUNBOOKS.read_text()) for words in grep.split("|")}
    assert len(sought) > 15
    assert {words for words in sought if not any(words in message for message in logged)} == set()


def test_every_metric_in_rules_and_runbooks_is_documented() -> None:
    documented = set().union(*documented_series().values())
    queries = re.findall(r"^```promql\n(.*?)^```", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join([*(rule["expr"] for rule in rules()), *queries])
    assert set(re.findall(r"phjob_artifact_\w+", text)) - documented == set()
    assert set(re.findall(r"phjob_artifact:[\w:]+", text)) == RECORDS


def test_every_label_value_in_rules_and_runbooks_is_documented() -> None:
    text = "\n".join(rule["expr"] for rule in rules()) + RUNBOOKS.read_text()
    used = {
        (label, value)
        for label, values in re.findall(r'\b(\w+)[!=]~?"([^"]+)"', text)
        if label != "app_kubernetes_io_name"
        for value in values.split("|")
    }
    assert len(used) > 20
    documented = {label: set(re.findall(r"`([\w-]+)`", values)) for label, values in label_rows()}
    documented["reason"] |= {reason for _, reasons in result_rows() for reason in re.findall(r"`([\w-]+)`", reasons)}
    assert {(label, value) for label, value in used if value not in documented[label]} == set()


def test_every_loss_reason_is_assigned_to_an_alert_or_to_the_job() -> None:
    """A new reason must be added to an alert's record or to JOB_REASONS."""
    expressions = [
        rule["expr"] for rule in rules() if re.search("(lost|interrupted|missed):increase6h", rule.get("record", ""))
    ]
    alerted = {
        reason
        for text in expressions
        for pattern in re.findall(r'reason=~"([^"]+)"', text)
        for reason in pattern.split("|")
    }
    documented = {
        reason
        for state, reasons in result_rows()
        if state in ("incomplete", "unknown", "not-injected")
        for reason in re.findall(r"`([\w-]+)`", reasons)
    }
    assert alerted <= documented
    assert documented - alerted == JOB_REASONS


def label_rows() -> list[tuple[str, str]]:
    """Return labels and the description of their values in docs/metrics.md."""
    table = METRICS.partition("## Label values")[2]
    return re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", table, re.MULTILINE)


def result_rows() -> list[tuple[str, str]]:
    """Return the states of results and their reasons in docs/metrics.md."""
    return re.findall(r"^\| `([\w-]+)` \| (`[^|]+) \| [^|]+ \|$", METRICS, re.MULTILINE)


def test_operator_rules_equal_the_plain_rules() -> None:
    generated = yaml.safe_load((COMPONENT / "prometheusrule.yaml").read_text())
    assert generated["spec"] == {"groups": groups()}, "run: make rules"


def test_overlay_sets_the_runbooks_address(tmp_path: Path) -> None:
    address = "https://git.example.com/jobs/runbooks.md"
    patch = [{"op": "replace", "path": "/metadata/annotations/primehub.io~1runbooks", "value": address}]
    overlay = {
        "components": [os.path.relpath(COMPONENT, tmp_path)],
        "patches": [{"target": {"kind": "PrometheusRule"}, "patch": yaml.safe_dump(patch)}],
        "transformers": [os.path.relpath(COMPONENT / "runbooks", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    [built] = [document for document in build(tmp_path) if document["kind"] == "PrometheusRule"]
    alerts_built = [rule for group in built["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    urls = {rule["annotations"]["runbook_url"] for rule in alerts_built}
    assert urls == {f"{address}#{name.lower()}" for name in ALERTS}
    assert [rule["expr"] for rule in alerts_built] == [rule["expr"] for rule in ALERTS.values()]


def build(folder: Path) -> list[dict[str, Any]]:
    """Build an overlay with kubectl."""
    kubectl = Path(sys.executable).with_name("kubectl")
    text = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True, timeout=30).stdout
    return list(yaml.safe_load_all(text))

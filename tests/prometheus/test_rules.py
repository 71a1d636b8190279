"""The alerts fire when they should and only then, say what is known, and lead to a section of the runbooks."""

import os
import re
import subprocess
import sys
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
    documented,
    groups,
    promtool,
    rules,
)
from tests.test_log import calls, event, keys

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
ALERTS = alerts()
RECORDS = {rule["record"] for rule in rules() if "record" in rule}
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL))
LEFT_BEHIND = ["not removed", "not looked at", "not listed", "unreadable record", "timetable does not know"]
GREP = r"(?m) logs .*\| grep (?:-E )?'?([^'\n]+)'?$"
DAYS = 3
# What a job leaves where it cannot be collected, or is, so that it cannot have a sidecar.
OWN_DOING = {"outside_volumes", "too_deep", "not_a_folder", "unreadable", "invalid_name", "store_conflict"} | {
    *("name-taken", "not-linux", "no-main", "no-home", "no-phfs", "no-group")
}


def test_promtool_finds_no_fault_in_the_rules() -> None:
    promtool("check", "rules", *RULES)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    stories = [story for path in CASES for story in yaml.safe_load(path.read_text())["tests"]]
    looks = [look for story in stories for look in story["alert_rule_test"] if look["alertname"] == name]
    assert {bool(look.get("exp_alerts")) for look in looks} == {True, False}


@pytest.mark.parametrize(("window", "records"), [("1h", 3), ("30m", 2)])
def test_what_is_recorded_over_a_short_time_is_what_is_recorded_over_six_hours(window: str, records: int) -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    short = {name: expression for name, expression in recorded.items() if name.endswith(f":increase{window}")}
    assert len(short) == records
    for name, expression in short.items():
        assert expression.replace(f"[{window}]", "[6h]") == recorded[name.replace(window, "6h")]


def test_an_installation_without_jobs_is_quiet(tmp_path: Path) -> None:
    """Nothing is counted, the cleanup runs daily, the certificate is new; Prometheus is there before the pods."""
    still = {
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
    }
    values = {name: f"_ {value}x{DAYS * 288}" for name, value in still.items()}
    daily = " ".join(f"{day * 86400 + 60}x287" for day in range(DAYS))
    values |= {f"cleanup_last_{what}_timestamp_seconds": f"_ 0 {daily}" for what in ("run", "success")}
    rows = re.findall(r"^\| `phjob_artifact_(\w+)` \| (counter|histogram) ", METRICS, re.MULTILINE)
    counted = {name if kind == "counter" else f"{name}_count" for name, kind in rows}
    values |= dict.fromkeys(counted, f"_ 0x{DAYS * 288}")
    test = {
        "interval": "5m",
        "input_series": [{"series": f"phjob_artifact_{name}", "values": each} for name, each in values.items()],
        "promql_expr_test": [
            {"expr": 'count_over_time(ALERTS{alertstate="firing"}[3d])', "eval_time": "3d", "exp_samples": []}
        ],
    }
    path = tmp_path / "test.yaml"
    files = [str(each) for each in RULES]
    path.write_text(yaml.safe_dump({"rule_files": files, "evaluation_interval": "5m", "tests": [test]}))
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_it_is_and_leads_to_its_section_of_the_runbooks(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    parts = re.findall(r"^\*\*(Meaning|Diagnosis|Mitigation)\*\*", SECTIONS[name], re.MULTILINE)
    assert parts == ["Meaning", "Diagnosis", "Mitigation"]


def test_the_runbooks_tell_of_no_other_alert_and_link_to_sections_that_there_are() -> None:
    assert list(SECTIONS) == sorted(SECTIONS, key=list(ALERTS).index)
    anchors = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOKS.read_text()))
    assert anchors <= {name.lower() for name in SECTIONS}


@pytest.mark.parametrize(
    ("name", "messages"),
    {
        "StoreFailing": ["store failed", "download failed", "not measured", "timetable does not know"],
        "ApiFailing": ["store failed", "graphql request failed", "token not reviewed", "forbidden"],
        "CleanupNotSucceeding": LEFT_BEHIND,
        "Overdue": LEFT_BEHIND,
    }.items(),
)
def test_a_check_of_the_logs_finds_what_they_say_of_it(name: str, messages: list[str]) -> None:
    greps = re.findall(GREP, SECTIONS[f"PhJobArtifacts{name}"])
    assert [message for message in messages if not any(re.search(each, message) for each in greps)] == []


def test_what_checks_look_for_in_logs_is_logged() -> None:
    logged = {" ".join([event(call), *keys(call)]) for _, call in calls()}
    sought = {words for each in re.findall(GREP, RUNBOOKS.read_text()) for words in each.split("|")}
    assert len(sought) > 15
    assert {words for words in sought if not any(words in message for message in logged)} == set()


def test_every_metric_that_rules_and_runbooks_ask_for_is_documented() -> None:
    known = set().union(*documented().values())
    queries = re.findall(r"^```promql\n(.*?)^```", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join([*(rule["expr"] for rule in rules()), *queries])
    assert set(re.findall(r"phjob_artifact_\w+", text)) - known == set()
    assert set(re.findall(r"phjob_artifact:[\w:]+", text)) == RECORDS


def test_every_value_of_a_label_that_rules_and_runbooks_ask_for_is_documented() -> None:
    text = "\n".join(rule["expr"] for rule in rules()) + RUNBOOKS.read_text()
    asked = {
        (label, value)
        for label, values in re.findall(r'\b(\w+)[!=]~?"([^"]+)"', text)
        if label != "app_kubernetes_io_name"
        for value in values.split("|")
    }
    assert len(asked) > 20
    told = {label: set(re.findall(r"`([\w-]+)`", values)) for label, values in label_rows()}
    told["reason"] |= {reason for _, reasons in result_rows() for reason in re.findall(r"`([\w-]+)`", reasons)}
    assert {(label, value) for label, value in asked if value not in told[label]} == set()


def test_every_reason_for_which_artifacts_are_missed_is_somebodys() -> None:
    """A new one has to be put with those that alerts count, or with those that are the job's own doing."""
    counted = [
        rule["expr"] for rule in rules() if re.search("(lost|interrupted|missed):increase6h", rule.get("record", ""))
    ]
    alerted = {
        reason for text in counted for each in re.findall(r'reason=~"([^"]+)"', text) for reason in each.split("|")
    }
    told = {
        reason
        for state, reasons in result_rows()
        if state in ("incomplete", "unknown", "not-injected")
        for reason in re.findall(r"`([\w-]+)`", reasons)
    }
    assert alerted <= told
    assert told - alerted == OWN_DOING


def label_rows() -> list[tuple[str, str]]:
    """What docs/metrics.md says of each label's values."""
    table = METRICS.partition("## The values of labels")[2]
    return re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", table, re.MULTILINE)


def result_rows() -> list[tuple[str, str]]:
    """States of results, and the reasons of each."""
    return re.findall(r"^\| `([\w-]+)` \| (`[^|]+) \| [^|]+ \|$", METRICS, re.MULTILINE)


def test_the_operators_rules_are_the_plain_ones() -> None:
    made = yaml.safe_load((COMPONENT / "prometheusrule.yaml").read_text())
    assert made["spec"] == {"groups": groups()}, "run: make rules"


def test_an_overlay_says_where_runbooks_are_read(tmp_path: Path) -> None:
    place = "https://git.example.com/jobs/runbooks.md"
    patch = [{"op": "replace", "path": "/metadata/annotations/primehub.io~1runbooks", "value": place}]
    overlay = {
        "components": [os.path.relpath(COMPONENT, tmp_path)],
        "patches": [{"target": {"kind": "PrometheusRule"}, "patch": yaml.safe_dump(patch)}],
        "transformers": [os.path.relpath(COMPONENT / "runbooks", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    [made] = [each for each in built(tmp_path) if each["kind"] == "PrometheusRule"]
    found = [rule for group in made["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["annotations"]["runbook_url"] for rule in found} == {f"{place}#{name.lower()}" for name in ALERTS}
    assert [rule["expr"] for rule in found] == [rule["expr"] for rule in ALERTS.values()]


def built(folder: Path) -> list[dict[str, Any]]:
    kubectl = Path(sys.executable).with_name("kubectl")
    text = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True, timeout=30).stdout
    return list(yaml.safe_load_all(text))

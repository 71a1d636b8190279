"""Collects the state of the cluster after a failed test, for the test's report."""

import json
from typing import Any

from tests.e2e.kubectl import try_kubectl

_MAX_JOBS = 4
_MAX_EVENTS = 60


def diagnose(namespace: str, failure: str) -> str:
    """Return the pods, the last events, the product's logs, and full objects of the PhJobs named in the failure."""
    parts = [_section("pods", _get(namespace, "pods,phjobs", "-o", "wide"))]
    events = _get(namespace, "events", "--sort-by=.lastTimestamp").splitlines()
    parts.append(_section("events", "\n".join(events[-_MAX_EVENTS:])))
    for part in ("webhook", "controller", "api"):
        selector = f"app.kubernetes.io/component={part}"
        parts.append(_section(part, _logs(namespace, "-l", selector, "--prefix", "--tail=40")))
    for name in [name for name in _phjobs(namespace) if name in failure][:_MAX_JOBS]:
        parts.append(_section(f"phjob {name}", _get(namespace, "phjob", name, "-o", "yaml")))
        parts.append(_section(f"pod {name}", _get(namespace, "pod", name, "-o", "yaml")))
        parts.append(_section(f"log of {name}", _logs(namespace, name, "--all-containers", "--prefix", "--tail=60")))
    return "\n".join(parts)


def _phjobs(namespace: str) -> list[str]:
    try:
        found: dict[str, Any] = json.loads(_get(namespace, "phjobs", "-o", "json"))
    except ValueError:
        return []
    return [phjob["metadata"]["name"] for phjob in found["items"]]


def _get(namespace: str, *words: str) -> str:
    return try_kubectl("-n", namespace, "get", *words)


def _logs(namespace: str, *words: str) -> str:
    return try_kubectl("-n", namespace, "logs", *words)


def _section(title: str, text: str) -> str:
    return f"--- {title}\n{text.rstrip()}\n"

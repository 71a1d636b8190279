"""What there is to see on the cluster when a test has failed: for whoever reads the log of a run that is over."""

import json
from typing import Any

from tests.e2e.kubectl import try_kubectl

_MOST_JOBS = 4
_MOST_EVENTS = 60


def diagnose(namespace: str, told: str) -> str:
    """All pods, the last events, the product's logs; in full the PhJobs whose names occur in `told`."""
    parts = [_titled("pods", _get(namespace, "pods,phjobs", "-o", "wide"))]
    events = _get(namespace, "events", "--sort-by=.lastTimestamp").splitlines()
    parts.append(_titled("events", "\n".join(events[-_MOST_EVENTS:])))
    for part in ("webhook", "controller", "api"):
        selector = f"app.kubernetes.io/component={part}"
        parts.append(_titled(part, _logs(namespace, "-l", selector, "--prefix", "--tail=40")))
    for name in [name for name in _phjobs(namespace) if name in told][:_MOST_JOBS]:
        parts.append(_titled(f"phjob {name}", _get(namespace, "phjob", name, "-o", "yaml")))
        parts.append(_titled(f"pod {name}", _get(namespace, "pod", name, "-o", "yaml")))
        parts.append(_titled(f"log of {name}", _logs(namespace, name, "--all-containers", "--prefix", "--tail=60")))
    return "\n".join(parts)


def _phjobs(namespace: str) -> list[str]:
    try:
        found: dict[str, Any] = json.loads(_get(namespace, "phjobs", "-o", "json"))
    except ValueError:
        return []
    return [each["metadata"]["name"] for each in found["items"]]


def _get(namespace: str, *words: str) -> str:
    return try_kubectl("-n", namespace, "get", *words)


def _logs(namespace: str, *words: str) -> str:
    return try_kubectl("-n", namespace, "logs", *words)


def _titled(title: str, text: str) -> str:
    return f"--- {title}\n{text.rstrip()}\n"

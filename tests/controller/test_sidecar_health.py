"""The health of a pod's sidecar, from the pod's status."""

from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.sidecar_health import (
    crash_reason,
    has_worked,
    is_configured_sidecar,
    next_sidecar_check,
    start_failure,
)
from tests.controller.objects import (
    NOW,
    SETTINGS,
    ended,
    lost,
    pod,
    pod_document,
    rfc3339,
    running,
    summary,
    waiting,
)

SUMMARY = ended(message=summary())


def restarted(state: dict[str, Any], times: int = 1, last_message: str = "") -> Pod:
    """Return a pod whose sidecar was restarted. `last_message` is the termination message of the previous end."""
    document = pod_document(main=running(), sidecar=state, phase="Running")
    status = document["status"]["initContainerStatuses"][0]
    status |= {"restartCount": times, "lastState": ended(1, message=last_message)}
    return read_pod(document)


def lost_before_restart() -> Pod:
    """Return a pod whose sidecar's previous end has a lost status."""
    document = pod_document(main=ended(137), sidecar=waiting("PodInitializing"), phase="Failed")
    document["status"]["initContainerStatuses"][0] |= {"restartCount": 1, "lastState": lost()}
    return read_pod(document)


# For each pod: whether its sidecar has worked 20 s and 60 s after its start, and how it crashed.
TABLE = {
    "no sidecar": (pod(main=running()), (False, False), ""),
    "main waits": (pod(sidecar=running()), (False, False), ""),
    "both run": (pod(main=running(), sidecar=running()), (False, True), ""),
    "it left a summary": (pod(main=ended(), sidecar=SUMMARY, phase="Succeeded"), (True, True), ""),
    "it was killed without a summary": (pod(main=ended(), sidecar=ended(137), phase="Failed"), (False, False), ""),
    "its status is lost": (restarted(lost()), (False, False), ""),
    "the status before its restart is lost": (lost_before_restart(), (False, False), ""),
    "it exited with 0 without a summary": (pod(main=ended(), sidecar=ended(0), phase="Succeeded"), (False, False), ""),
    "it failed, and main runs": (pod(main=running(), sidecar=ended(1)), (False, False), "it ended with exit code 1"),
    "it failed, and main has ended": (
        pod(main=ended(), sidecar=ended(3), phase="Succeeded"),
        (False, False),
        "it ended with exit code 3",
    ),
    "it restarts repeatedly": (restarted(waiting("CrashLoopBackOff"), 2), (False, False), "it was started 3 times"),
    "it was restarted": (restarted(running()), (False, False), "it was started 2 times"),
    "out of memory, once, after it had synced": (
        restarted(running(), last_message=summary("syncing")),
        (False, False),
        "",
    ),
}


@pytest.mark.parametrize(
    ("condition", "fails_at", "check_at"),
    [
        (None, 120, 120),
        ({"status": "False"}, None, None),  # a volume cannot be mounted, so main would not start either
        ({"status": "True", "lastTransitionTime": rfc3339(NOW + 300)}, 420, 420),
    ],
)
def test_a_sidecar_is_late_only_if_its_pod_can_start(
    condition: dict[str, str] | None, fails_at: float | None, check_at: float | None
) -> None:
    document = pod_document(main=waiting("PodInitializing"), sidecar=waiting("PodInitializing"))
    if condition:
        document["status"]["conditions"].append({"type": "PodReadyToStartContainers", **condition})
    late = read_pod(document)
    failures = [second for second in range(700) if start_failure(late, SETTINGS, NOW + second)]
    assert failures[:1] == ([] if fails_at is None else [fails_at])
    assert next_sidecar_check(late, SETTINGS, NOW + 60) == (None if check_at is None else NOW + check_at)


@pytest.mark.parametrize(("current", "worked", "crash"), TABLE.values(), ids=TABLE)
def test_a_sidecar_has_worked_or_crashed_or_is_undecided(current: Pod, worked: tuple[bool, bool], crash: str) -> None:
    assert (has_worked(current, SETTINGS, NOW + 20), has_worked(current, SETTINGS, NOW + 60)) == worked
    assert crash_reason(current) == crash


@pytest.mark.parametrize(
    ("change", "is_configured"),
    [
        ({}, True),
        ({"image": "mallory/sidecar:1"}, False),
        ({"image": None}, False),
        ({"command": ["sh", "-c", "exit 3"]}, False),
        ({"command": None}, False),
        ({"name": "other"}, False),
    ],
)
def test_only_the_configured_image_and_command_are_evidence(change: dict[str, Any], is_configured: bool) -> None:
    document = pod_document(main=running(), sidecar=ended(3))
    document["spec"]["initContainers"][0] |= change
    settings = replace(SETTINGS, sidecar_image="sidecar:1")
    assert is_configured_sidecar(read_pod(document), settings) == is_configured

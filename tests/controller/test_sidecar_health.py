"""Whether a pod's sidecar works, as far as can be seen from outside."""

from typing import Any

import pytest

from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.sidecar import crash, has_worked, look_at_sidecar, sidecar_trouble
from tests.controller.cluster import NOW, SETTINGS, ended, lost, pod, pod_document, rfc3339, running, summary, waiting

WORD = ended(message=summary())


def restarted(state: dict[str, Any], times: int = 1, last: str = "") -> Pod:
    """A pod whose sidecar was started again; `last`: the word of the one before."""
    document = pod_document(main=running(), sidecar=state, phase="Running")
    status = document["status"]["initContainerStatuses"][0]
    status |= {"restartCount": times, "lastState": ended(1, message=last)}
    return read_pod(document)


def read_lost_before() -> Pod:
    document = pod_document(main=ended(137), sidecar=waiting("PodInitializing"), phase="Failed")
    document["status"]["initContainerStatuses"][0] |= {"restartCount": 1, "lastState": lost()}
    return read_pod(document)


# Of each pod: whether its sidecar is said to work, and to have crashed, 20 s and 60 s after its start.
TABLE = {
    "no sidecar": (pod(main=running()), (False, False), ""),
    "main waits": (pod(sidecar=running()), (False, False), ""),
    "both run": (pod(main=running(), sidecar=running()), (False, True), ""),
    "it has left its word": (pod(main=ended(), sidecar=WORD, phase="Succeeded"), (True, True), ""),
    "it was killed with no word": (pod(main=ended(), sidecar=ended(137), phase="Failed"), (False, False), ""),
    "the kubelet lost sight of it": (restarted(lost()), (False, False), ""),
    "... or of the one before": (read_lost_before(), (False, False), ""),
    "it ended well with no word": (pod(main=ended(), sidecar=ended(0), phase="Succeeded"), (False, False), ""),
    "it failed, and main runs": (pod(main=running(), sidecar=ended(1)), (False, False), "it ended: exit code 1"),
    "it failed, and main is done": (
        pod(main=ended(), sidecar=ended(3), phase="Succeeded"),
        (False, False),
        "it ended: exit code 3",
    ),
    "it starts again and again": (restarted(waiting("CrashLoopBackOff"), 2), (False, False), "it was started 3 times"),
    "it was started again": (restarted(running()), (False, False), "it was started 2 times"),
    "out of memory, once, after it had synced": (restarted(running(), last=summary("syncing")), (False, False), ""),
}


@pytest.mark.parametrize(
    ("condition", "troubled_at", "look_at"),
    [
        (None, 120, 120),
        ({"status": "False"}, None, None),  # a volume cannot be mounted: main would not start either
        ({"status": "True", "lastTransitionTime": rfc3339(NOW + 300)}, 420, 420),
    ],
)
def test_a_sidecar_is_late_only_where_its_pod_could_start(
    condition: dict[str, str] | None, troubled_at: float | None, look_at: float | None
) -> None:
    document = pod_document(main=waiting("PodInitializing"), sidecar=waiting("PodInitializing"))
    if condition:
        document["status"]["conditions"].append({"type": "PodReadyToStartContainers", **condition})
    found = read_pod(document)
    troubled = [second for second in range(700) if sidecar_trouble(found, SETTINGS, NOW + second)]
    assert troubled[:1] == ([] if troubled_at is None else [troubled_at])
    assert look_at_sidecar(found, SETTINGS, NOW + 60) == (None if look_at is None else NOW + look_at)


@pytest.mark.parametrize(("found", "worked", "crashed"), TABLE.values(), ids=TABLE)
def test_a_sidecar_works_or_crashed_or_nobody_knows(found: Pod, worked: tuple[bool, bool], crashed: str) -> None:
    assert (has_worked(found, SETTINGS, NOW + 20), has_worked(found, SETTINGS, NOW + 60)) == worked
    assert crash(found) == crashed

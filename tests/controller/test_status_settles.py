"""Whatever may be seen of a PhJob and its pod, decisions settle: hypothesis makes jobs and pods."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcile.phjob import FINAL_PHASES, read_phjob
from controller.reconcile.pod import Pod
from controller.reconcile.status import CreatePod, Decision, DeletePod, decide
from tests.controller.cluster import (
    NOW,
    POD_UID,
    SETTINGS,
    ended,
    job,
    job_document,
    lost,
    pod,
    rfc3339,
    running,
    summary,
    waiting,
)

CONTAINERS = st.sampled_from(
    [
        None,
        {},
        running(),
        ended(),
        ended(7),
        ended(137, since=None),
        waiting("ImagePullBackOff"),
        waiting("PodInitializing"),
        ended(message=summary()),
        ended(message="nonsense"),
        lost(),
    ]
)
PODS = st.builds(
    pod,
    main=CONTAINERS,
    sidecar=CONTAINERS,
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown", ""]),
    created=st.sampled_from([NOW, NOW - 500]),
    scheduled=st.sampled_from([None, NOW, NOW - 500]),
    deleting=st.sampled_from([None, None, NOW + 30, NOW - 500]),
    owner=st.sampled_from(["job-uid", "job-uid", "other"]),
)
OVER = [
    {"state": "sealed", "podUid": POD_UID, "expiredAt": int(NOW) + 10},
    {"state": "expired", "podUid": POD_UID, "expiredAt": int(NOW) + 30, "reason": "unknown"},
]
STATUSES = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["", "Pending", "Preparing", "Running", *FINAL_PHASES]),
        "reason": st.sampled_from(["PodPending", "Cancelled", "OverActivateDeadline", "OverQuota"]),
        "startTime": st.sampled_from([rfc3339(NOW), "yesterday", 7]),
        "finishTime": st.sampled_from([rfc3339(NOW), None]),
        "requeued": st.sampled_from([0, 3, -1, "x"]),
        "artifact": st.sampled_from([None, 7, {"state": "syncing", "podUid": POD_UID}, {"state": "sealed"}, *OVER]),
    },
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "cancel": st.booleans(),
        "requeueLimit": st.sampled_from([0, 2]),
        "activeDeadlineSeconds": st.sampled_from([0, 5, 10**6]),
        "ttlSecondsAfterFinished": st.sampled_from([0, 5, 10**6]),
    },
)


@settings(max_examples=400, deadline=None)
@given(STATUSES, SPECS, st.none() | PODS, st.booleans())
def test_decisions_settle_and_an_end_stays_an_end(
    status: dict[str, Any], spec: dict[str, Any], of: Pod | None, gone: bool
) -> None:
    """Whatever is seen: once written, the same sight asks for no other status, and for the same deed."""
    of = replace(of, gone=True) if of and gone else of
    found = job(status, **spec)
    now = NOW + 20
    steps: list[Decision] = []
    for _ in range(4):
        steps.append(decide(found, of, SETTINGS, now))
        document = job_document({**steps[-1].status}, **spec)
        after = replace(read_phjob(document), artifact=steps[-1].artifact)
        if found.has_ended:
            assert after.phase == found.phase
        found = after
    assert steps[-1] == steps[-2]
    if isinstance(steps[-1].action, DeletePod):
        assert of is not None
        assert steps[-1].action.uid == of.uid
        assert of.owner_uid == "job-uid"
    if isinstance(steps[-1].action, CreatePod):
        assert of is None or of.gone

"""What a PhJob shows of artifacts that are kept no more: tables; that it is neither news nor asked for again."""

from dataclasses import replace

import pytest

from controller.reconcile.artifact import Artifact, is_news, read_artifact, write_artifact
from controller.reconcile.expiry import after_expiry
from controller.reconcile.phjob import PhJob
from controller.reconcile.status import DeletePhJob, DeletePod, decide
from tests.controller.cluster import NOW, POD_UID, SETTINGS, ended, job, pod, rfc3339, summary

END = int(NOW)
DONE = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(END), "requeued": 0}
FOREVER = 253402300799

# The state, the collector's expiry, the API's note; now -> the state that is shown, in which words.
TABLE = {
    "kept": ("sealed", END + 100, 0, END + 99, "sealed", "2 files"),
    "over": ("sealed", END + 100, 0, END + 100, "expired", f"kept until {rfc3339(END + 100)}"),
    "over, not all of it": ("incomplete", END + 100, 0, END + 200, "expired", f"kept until {rfc3339(END + 100)}"),
    "over, by the note alone": ("unknown", 0, END + 50, END + 200, "expired", f"kept until {rfc3339(END + 50)}"),
    "nobody says": ("unknown", 0, 0, END + 10**6, "unknown", "2 files"),
    "extended": ("sealed", END + 100, END + 500, END + 200, "sealed", "2 files"),
    "pinned": ("sealed", END + 100, FOREVER, END + 10**9, "sealed", "2 files"),
    "decided while it ran": ("sealed", END + 100, END + 50, END + 60, "sealed", "2 files"),
    "removed": ("sealed", END + 10**6, -(END + 60), END + 61, "expired", f"removed {rfc3339(END + 60)}"),
    "the note of another job": ("sealed", END + 10**6, -(END - 3600), END + 61, "sealed", "2 files"),
    "rejected": ("rejected", END + 100, 0, END + 200, "rejected", "2 files"),
    "empty": ("empty", END + 100, 0, END + 200, "empty", "2 files"),
    "no sidecar": ("not-injected", 0, -(END + 60), END + 200, "not-injected", "2 files"),
    "still collected": ("collecting", 0, -(END + 60), END + 200, "collecting", "2 files"),
}


def ended_job(artifact: Artifact, note: int, **spec: int) -> PhJob:
    return replace(job(DONE, **spec), artifact=artifact, annotated_expiry=note)


@pytest.mark.parametrize("case", TABLE)
def test_artifacts_expire(case: str) -> None:
    state, told, note, now, then, words = TABLE[case]
    before = Artifact(state, POD_UID, "2 files", 2, 300, told)
    after = after_expiry(ended_job(before, note), before, now)
    assert after is not None
    assert (after.state, after.message) == (then, words)
    assert not is_news(before, after)
    assert after_expiry(ended_job(after, note), after, now) == after
    if then == "expired":
        assert (after.files, after.bytes, after.reason) == (2, 300, state)
        assert read_artifact(write_artifact(after)) == after


def test_what_is_kept_after_all_is_shown_as_before() -> None:
    """A pin that comes while the cleanup removes is honoured."""
    before = Artifact("incomplete", POD_UID, "2 of 3 files", 2, 300, END + 100)
    gone = after_expiry(ended_job(before, -(END + 60)), before, END + 61)
    assert gone is not None
    back = after_expiry(ended_job(gone, FOREVER), gone, END + 70)
    assert back is not None
    assert (back.state, back.reason, back.files, back.bytes) == ("incomplete", "", 2, 300)
    assert not is_news(gone, back)


SEALED = Artifact("sealed", POD_UID, "2 files", 2, 300, END + 100)
FINISHED = pod(main=ended(), sidecar=ended(message=summary()), phase="Succeeded")


def test_the_status_says_so_when_it_is_time_and_the_phjob_goes_without_another_word() -> None:
    kept = ended_job(SEALED, 0, ttlSecondsAfterFinished=1000)
    before = decide(kept, FINISHED, SETTINGS, END + 50)
    assert (before.artifact, before.look_at) == (SEALED, END + 100)
    after = decide(kept, FINISHED, SETTINGS, END + 100)
    assert after.artifact is not None
    assert (after.artifact.state, after.action, after.look_at) == ("expired", None, END + 1000)
    short = decide(ended_job(SEALED, 0, ttlSecondsAfterFinished=10), None, SETTINGS, END + 100)
    assert (short.artifact, short.action) == (SEALED, DeletePhJob())


def test_a_phjob_that_is_to_stay_for_ever_says_it_too() -> None:
    kept = ended_job(SEALED, 0, ttlSecondsAfterFinished=0)
    assert decide(kept, None, SETTINGS, END + 50).look_at == END + 100
    after = decide(kept, None, SETTINGS, END + 100)
    assert after.artifact is not None
    assert (after.artifact.state, after.action, after.look_at) == ("expired", None, None)


def test_the_pod_of_a_job_whose_artifacts_stay_longer_goes_at_the_end_of_its_time() -> None:
    kept = ended_job(SEALED, 0, ttlSecondsAfterFinished=10)
    assert decide(kept, FINISHED, SETTINGS, END + 20).action == DeletePod(POD_UID)


def test_what_became_of_them_is_told_before_that_they_have_expired() -> None:
    """Nobody looked meanwhile: the outcome is news first, and counted; then the rest."""
    late = ended_job(Artifact("collecting", POD_UID), 0, ttlSecondsAfterFinished=1000)
    word = pod(main=ended(), sidecar=ended(message=summary(expiredAt=END + 100)), phase="Succeeded")
    first = decide(late, word, SETTINGS, END + 200).artifact
    assert first is not None
    assert (first.state, is_news(late.artifact, first)) == ("sealed", True)
    then = decide(replace(late, artifact=first), word, SETTINGS, END + 200).artifact
    assert then is not None
    assert then.state == "expired"

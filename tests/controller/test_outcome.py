"""What is told of artifacts, from what pods tell; each pod is news once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcile.artifact import Artifact, is_news, read_artifact, read_result, write_artifact, write_result
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact
from controller.reconcile.pod import Pod, read_pod
from tests.controller.cluster import NOW, POD_UID, SETTINGS, ended, lost, pod, pod_document, running, summary, waiting
from tests.controller.test_status_settles import PODS


def told(found: Pod | None, before: Artifact | None = None, now: float = NOW + 20) -> Artifact | None:
    return next_artifact(before, found, SETTINGS, now)


SYNCING = Artifact("syncing", POD_UID)
FINISHED = {"main": ended(), "phase": "Succeeded"}

TABLE = {
    "not started": (pod(sidecar=running()), None),
    "main runs": (pod(main=running(), sidecar=running()), "syncing"),
    "main ended": (pod(main=ended(), sidecar=running(), phase="Running"), "collecting"),
    "sealed": (pod(**FINISHED, sidecar=ended(message=summary())), "sealed"),
    "rejected": (pod(**FINISHED, sidecar=ended(message=summary("rejected"))), "rejected"),
    "empty": (pod(**FINISHED, sidecar=ended(message=summary("empty"))), "empty"),
    "incomplete": (pod(**FINISHED, sidecar=ended(message=summary("incomplete"))), "incomplete"),
    "killed between two syncs": (pod(**FINISHED, sidecar=ended(message=summary("syncing"))), "incomplete"),
    "no word": (pod(**FINISHED, sidecar=ended()), "unknown"),
    "nonsense": (pod(**FINISHED, sidecar=ended(message='{"version": 1, "state": []}')), "unknown"),
    "evicted, lost sight of": (pod(main=ended(137), phase="Failed", sidecar=lost()), "unknown"),
    "evicted, with a word": (pod(phase="Failed", sidecar=ended(message=summary())), "sealed"),
    "sidecar restarts while main runs": (pod(main=running(), sidecar=ended(message=summary())), "syncing"),
    "no webhook": (pod(), "not-injected"),
    "asked for none": (pod(annotations={"primehub.io/artifact-enabled": "False"}), None),
    "not PhJob's own": (pod(annotations={"primehub.io/artifact-sidecar": "no-phfs"}), "not-injected"),
    "holds its pod too long": (pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running"), "unknown"),
    "deleted before it ran": (pod(main=ended(137, since=None), sidecar=ended(), deleting=NOW, phase="Failed"), None),
}


@pytest.mark.parametrize("case", TABLE)
def test_states(case: str) -> None:
    found, state = TABLE[case]
    artifact = told(found)
    assert (artifact.state if artifact else None) == state


def test_what_the_sidecar_says_is_kept() -> None:
    found = pod(**FINISHED, sidecar=ended(message=summary(expiredAt=5, message="2 files", lagSeconds=1.5)))
    assert told(found) == Artifact("sealed", POD_UID, "2 files", 2, 300, 5)


def test_no_terminal_takes_orders_from_a_sidecars_word() -> None:
    artifact = told(pod(**FINISHED, sidecar=ended(message=summary(message="a\x1b[2J\nb\u202e"))))
    assert artifact is not None
    assert artifact.message == "a [2J b"


def test_of_a_sidecar_that_was_lost_sight_of_the_word_before_its_restart_counts() -> None:
    document = pod_document(main=ended(137), phase="Failed", sidecar=lost())
    (status,) = document["status"]["initContainerStatuses"]
    status["lastState"] = ended(message=summary("syncing"))
    artifact = told(read_pod(document))
    assert artifact is not None
    assert (artifact.state, artifact.files) == ("incomplete", 2)


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        (lost(), "the kubelet lost sight of it"),
        (ended(3), "it ended: exit code 3"),
        (ended(137), "it was killed, or never started"),
    ],
)
def test_why_there_is_no_word_is_told(sidecar: dict[str, Any], words: str) -> None:
    artifact = told(pod(**FINISHED, sidecar=sidecar))
    assert artifact is not None
    assert artifact.message == f"the sidecar left no word: {words}"


def test_that_a_sidecar_crashed_is_told_while_main_runs_and_in_the_same_words_each_time() -> None:
    document = pod_document(main=running(), sidecar=ended(1), phase="Running")
    first = told(read_pod(document))
    assert first is not None
    assert (first.state, first.message) == (
        "syncing",
        "the sidecar ended early, with no word: perhaps nothing is collected",
    )
    (status,) = document["status"]["initContainerStatuses"]
    status |= {"state": waiting("CrashLoopBackOff"), "lastState": ended(1), "restartCount": 4}
    assert told(read_pod(document), first) == first


@pytest.mark.parametrize("reason", [name for name in NOT_INJECTED_REASONS if name not in ("webhook", "quota", "start")])
def test_injections_reasons_are_told(reason: str) -> None:
    artifact = told(pod(annotations={"primehub.io/artifact-sidecar": reason}))
    assert artifact is not None
    assert (artifact.reason, artifact.message) == (reason, NOT_INJECTED_REASONS[reason])


def test_words_of_users_are_no_reason() -> None:
    artifact = told(pod(annotations={"primehub.io/artifact-sidecar": "x" * 50}))
    assert artifact is not None
    assert artifact.reason == "webhook"


def test_a_pod_made_without_it_for_the_quotas_sake_is_told() -> None:
    without = {"primehub.io/without-artifact-sidecar": "quota", "primehub.io/artifact-enabled": "false"}
    artifact = told(pod(annotations=without))
    assert artifact is not None
    assert artifact.reason == "quota"


def test_a_vanished_pod_is_unknown_once_and_one_that_was_read_stays() -> None:
    first = told(None, SYNCING)
    assert first is not None
    assert first.state == "unknown"
    assert is_news(SYNCING, first)
    assert told(None, first) == first
    sealed = Artifact("sealed", POD_UID)
    assert told(None, sealed) == sealed
    assert told(None, None) is None


def test_what_was_seen_of_a_vanished_pod_last_is_read() -> None:
    gone = replace(pod(main=ended(), sidecar=ended(message=summary()), deleting=NOW), gone=True)
    artifact = told(gone, SYNCING)
    assert artifact is not None
    assert artifact.state == "sealed"


def test_a_pod_that_another_has_replaced_is_unknown_before_the_other_is_told() -> None:
    other = pod(uid="second", main=running(), sidecar=running())
    first = told(other, SYNCING)
    assert first is not None
    assert (first.state, first.pod_uid) == ("unknown", POD_UID)
    assert told(other, first) == Artifact("syncing", "second")


def test_a_pod_made_anew_without_its_sidecar_is_told_once() -> None:
    dropped = Artifact("not-injected", POD_UID, "x", reason="start")
    second = told(
        pod(uid="second", annotations={"primehub.io/without-artifact-sidecar": "start"}, main=running()), dropped
    )
    assert second == replace(dropped, pod_uid="second")
    assert not is_news(dropped, second)


def test_a_sidecar_that_came_up_after_all_is_told_of() -> None:
    dropped = Artifact("not-injected", POD_UID, "x", reason="start")
    assert told(pod(main=running(), sidecar=running()), dropped) == SYNCING


def test_slow_starts_are_no_outcome() -> None:
    assert told(pod(sidecar=waiting("ImagePullBackOff"))) is None


ARTIFACTS = st.none() | st.builds(
    Artifact,
    st.sampled_from(["syncing", "collecting", "sealed", "unknown", "not-injected", "incomplete"]),
    st.sampled_from([POD_UID, "other"]),
    reason=st.sampled_from(["", "start", "webhook"]),
)


@settings(max_examples=400, deadline=None)
@given(ARTIFACTS, st.none() | PODS, st.booleans())
def test_no_pod_is_news_twice(before: Artifact | None, found: Pod | None, gone: bool) -> None:
    """However often the same is seen, also after a restart, which knows only what was written."""
    found = replace(found, gone=True) if found and gone else found
    news: list[str] = []
    for _ in range(4):
        after = told(found, before)
        if after and is_news(before, after):
            news.append(after.pod_uid)
        written = after and read_artifact(write_artifact(after))
        assert written == after
        assert not after or read_result(write_result(after, "own"), "own") == after
        before = written
    assert len(news) == len(set(news))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")) | st.just("[" * 3000))
def test_any_word_of_a_sidecar_is_borne(said: str) -> None:
    artifact = told(pod(**FINISHED, sidecar=ended(message=said)))
    assert artifact is not None
    assert read_result(said, "own") is None

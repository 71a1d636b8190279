"""Extending, pinning and unpinning over a real directory: permissions, refusals, and where decisions are stored."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.auth.caller import Caller
from api.errors import BadInput, ConflictError, Expired, NotAuthorized, NotFoundError, ServiceUnavailable
from api.jobs.job import ArtifactStatus
from api.retention.evidence_reader import NEWEST_CACHE_SECONDS
from api.retention.record import FOREVER, extension_key
from api.store.store import Item
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.environment import ALICE, DAY, StoreEnvironment, directory_environment

SERVICE = Caller("2", "dashboard", is_service=True)
STRANGER = Caller("3", "mallory", ["b"])


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.add_folder("job-1", expires_in=DAY, legacy_in=DAY)
    return env


def read_expiries(env: StoreEnvironment, job: str = "job-1") -> list[int]:
    prefix = env.folder(job).prefix
    return [int(env.store.read(prefix + name, 99)) for name in (EXPIRED_AT, LEGACY_EXPIRED_AT)]


def in_days(days: float) -> int:
    return int(time.time() + days * DAY)


def test_an_extension_is_written_to_the_record_both_files_and_the_phjob(env: StoreEnvironment) -> None:
    until = in_days(30)
    retention = env.retention.extend(env.folder("job-1"), until, ALICE)
    assert (retention.expires_at, retention.reason) == (until, "extended by alice")
    assert env.retention.get(env.folder("job-1")) == retention
    assert read_expiries(env) == [until, until]
    assert env.jobs.annotations == {"job-1": until}


def test_the_seal_does_not_undo_an_extension(env: StoreEnvironment) -> None:
    until = in_days(30)
    env.retention.extend(env.folder("job-1"), until, ALICE)
    env.add_folder("job-1", expires_in=-DAY, legacy_in=-DAY)
    assert env.retention.get(env.folder("job-1")).expires_at == until


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "is in the past"), (0.5, "kept until"), (363, "at most"), (10**6, "at most"), (10**15, "at most")],
)
def test_invalid_times_are_refused_with_a_message(env: StoreEnvironment, days: float, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        env.retention.extend(env.folder("job-1"), in_days(days), ALICE)
    assert env.list_keys("phjob-artifacts/") == []


def test_a_pin_is_written_everywhere_and_unpin_leaves_at_least_a_day(env: StoreEnvironment) -> None:
    folder = env.folder("job-1")
    retention = env.retention.pin(folder, "for the paper", ALICE)
    assert (retention.expires_at, retention.is_pinned, retention.pinned_by, retention.note) == (
        None,
        True,
        "alice",
        "for the paper",
    )
    assert read_expiries(env) == [FOREVER, FOREVER]
    assert env.jobs.annotations == {"job-1": FOREVER}
    env.clock_offset = 100 * DAY
    assert not env.retention.get(folder).has_expired(env.clock())
    retention = env.retention.unpin(folder, ALICE)
    assert retention.expires_at == pytest.approx(env.clock() + DAY, abs=60)
    assert read_expiries(env) == [retention.expires_at, retention.expires_at]
    assert env.jobs.annotations == {"job-1": retention.expires_at}


def test_unpin_restores_the_expiry_before_the_pin(env: StoreEnvironment) -> None:
    folder = env.folder("job-1")
    until = in_days(20)
    env.retention.extend(folder, until, ALICE)
    env.retention.pin(folder, "", ALICE)
    assert env.retention.unpin(folder, ALICE).expires_at == until
    assert env.retention.unpin(folder, ALICE).expires_at == until


def test_pinning_a_running_job_does_not_write_its_expiry_files(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    before = read_expiries(env)
    assert env.retention.pin(env.folder("job-1"), "", ALICE).is_pinned
    assert read_expiries(env) == before
    env.add_phjob("job-1", ended_ago=100)
    retention = env.retention.unpin(env.folder("job-1"), ALICE)
    assert retention.expires_at == pytest.approx(time.time() + 7 * DAY, abs=200)


def test_an_expiry_file_does_not_count_as_the_newest_file(env: StoreEnvironment) -> None:
    env.add_phjob("job-9", ended_ago=8 * DAY)
    env.store.write(env.folder("job-9").prefix + EXPIRED_AT, b"soon")
    retention = env.retention.get(env.folder("job-9"))
    assert retention.expires_at == pytest.approx(time.time() - DAY, abs=60)
    assert retention.reason == "no valid expiredAt: 7 days from the job's end"


def test_expired_artifacts_cannot_be_extended_or_pinned(env: StoreEnvironment) -> None:
    env.clock_offset = 2 * DAY
    with pytest.raises(Expired):
        env.retention.extend(env.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        env.retention.pin(env.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("how", ["deleted", "cleaned up", "expired in the PhJob's status"])
def test_removed_artifacts_cannot_be_pinned_or_extended(env: StoreEnvironment, how: str) -> None:
    if how == "expired in the PhJob's status":
        status = ArtifactStatus("sealed", 3, 110, in_days(-1))
        env.jobs.phjobs["job-1"] = replace(env.add_phjob("job-2"), id="job-1", artifact_status=status)
        env.store.remove(env.folder("job-1").prefix)
    elif how == "cleaned up":
        env.add_folder("job-1")
        env.cleaner.clean(None)
    else:
        env.cleaner.delete(env.folder("job-1"), ALICE)
    assert env.remaining_jobs() == []
    with pytest.raises(Expired):
        env.retention.extend(env.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        env.retention.pin(env.folder("job-1"), "", ALICE)
    assert [key for key in env.list_keys("phjob-artifacts/") if "/job-1" in key] == []


def test_a_running_job_without_a_folder_can_be_pinned_and_extended(env: StoreEnvironment) -> None:
    env.add_phjob("job-2", phase="Running", ended_ago=0)
    env.retention.extend(env.folder("job-2"), in_days(0.001), ALICE)
    env.clock_offset = DAY
    env.retention.extend(env.folder("job-2"), in_days(9), ALICE)
    assert env.retention.pin(env.folder("job-2"), "", ALICE).is_pinned


def test_a_pin_without_a_folder_and_a_phjob_can_be_unpinned(env: StoreEnvironment) -> None:
    env.retention.pin(env.folder("job-1"), "", ALICE)
    env.store.remove(env.folder("job-1").prefix)
    env.jobs.phjobs.clear()
    assert not env.retention.unpin(env.folder("job-1"), ALICE).is_pinned
    assert env.list_keys("phjob-artifacts/pins/") == []
    with pytest.raises(NotFoundError):
        env.retention.unpin(env.folder("job-1"), ALICE)


@pytest.mark.parametrize("what", ["extend", "unpin"])
def test_a_decision_while_the_job_runs_does_not_shorten_the_retention(env: StoreEnvironment, what: str) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    if what == "extend":
        env.retention.extend(env.folder("job-1"), in_days(0.01), ALICE)
    else:
        env.retention.pin(env.folder("job-1"), "", ALICE)
        env.retention.unpin(env.folder("job-1"), ALICE)
    env.add_phjob("job-1", ended_ago=1)
    env.add_folder("job-1", expires_in=7 * DAY, legacy_in=None)
    env.store.delete(env.folder("job-1").prefix + LEGACY_EXPIRED_AT)
    assert env.retention.get(env.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        env.store.write(env.folder("job-1").prefix + name, b"NaN")
    env.cleaner.clean(None)
    assert env.retention.get(env.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)


def test_the_newest_file_is_cached_if_the_expiry_files_are_unreadable(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, walk = [], env.store.list

    def count(prefix: str, **options: Any) -> Iterator[Item]:
        listed.append(prefix)
        return walk(prefix, **options)

    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        env.store.write(env.folder("job-1").prefix + name, b"NaN")
    monkeypatch.setattr(env.store, "list", count)
    retentions = [env.retention.get(env.folder("job-1")) for _ in range(5)]
    assert len(listed) == 1
    assert len(set(retentions)) == 1
    env.clock_offset = NEWEST_CACHE_SECONDS + 1
    env.retention.get(env.folder("job-1"))
    assert len(listed) == 2
    env.retention.get(env.folder("job-2"))
    env.retention.get(env.folder("job-2"))
    assert len(listed) == 4  # a missing folder is not cached: it may appear at any time


@pytest.mark.parametrize("caller", [SERVICE, STRANGER], ids=["service", "stranger"])
def test_callers_without_the_right_cannot_decide(env: StoreEnvironment, caller: Caller) -> None:
    folder = env.folder("job-1")
    with pytest.raises(NotAuthorized):
        env.retention.extend(folder, in_days(9), caller)
    with pytest.raises(NotAuthorized):
        env.retention.pin(folder, "", caller)
    with pytest.raises(NotAuthorized):
        env.retention.unpin(folder, caller)
    assert env.list_keys("phjob-artifacts/") == []


def test_extensions_do_not_move_the_maximum_if_the_end_is_unknown(env: StoreEnvironment) -> None:
    env.jobs.phjobs.clear()
    env.retention.extend(env.folder("job-1"), in_days(360), ALICE)
    env.clock_offset = 100 * DAY
    with pytest.raises(BadInput, match="at most"):
        env.retention.extend(env.folder("job-1"), in_days(400), ALICE)


def test_names_are_logged_and_recorded_as_one_line(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    retention = env.retention.pin(env.folder("job-1"), "", Caller("1", "eve\nartifacts deleted group=b", ["a"]))
    assert retention.pinned_by == "eve?artifacts deleted group=b"
    assert 'user="eve?artifacts deleted' in caplog.text


def test_a_missing_folder_cannot_be_pinned(env: StoreEnvironment) -> None:
    with pytest.raises(NotFoundError):
        env.retention.pin(env.folder("job-2"), "", ALICE)
    assert env.retention.get(env.folder("job-2")).expires_at is None
    env.add_phjob("job-3", ended_ago=DAY)
    env.retention.pin(env.folder("job-3"), "", ALICE)
    assert env.remaining_jobs() == ["a/job-1"]


def test_a_note_over_the_limit_is_refused(env: StoreEnvironment) -> None:
    with pytest.raises(BadInput, match="1000 characters"):
        env.retention.pin(env.folder("job-1"), "x" * 1001, ALICE)


def test_an_unreadable_record_keeps_the_artifacts_and_is_not_overwritten(env: StoreEnvironment) -> None:
    env.store.write(extension_key("a", "job-1"), b"{")
    retention = env.retention.get(env.folder("job-1"))
    assert (retention.expires_at, retention.is_pinned) == (None, False)
    assert "cannot be read" in retention.reason
    with pytest.raises(ConflictError, match="phjob-artifacts/extensions/a/job-1"):
        env.retention.pin(env.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("failing", [EXPIRED_AT, LEGACY_EXPIRED_AT, "note"])
@pytest.mark.parametrize("what", ["pin", "extend"])
def test_an_interrupted_decision_is_valid_and_completed_by_the_next_call(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, failing: str, what: str
) -> None:
    folder, until = env.folder("job-1"), in_days(9)

    def decide() -> None:
        _ = env.retention.pin(folder, "", ALICE) if what == "pin" else env.retention.extend(folder, until, ALICE)

    with monkeypatch.context() as patch:
        _break_write(env, patch, failing)
        with pytest.raises(ServiceUnavailable):
            decide()
    env.clock_offset = 2 * DAY
    assert not env.retention.get(folder).has_expired(env.clock())
    decide()
    at = FOREVER if what == "pin" else until
    assert read_expiries(env) == [at, at]
    assert env.jobs.annotations == {"job-1": at}


def test_a_store_error_is_raised_as_service_unavailable(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str, max_bytes: int) -> bytes:
        raise StoreError("read", key, OSError(5, "Input/output error"))

    monkeypatch.setattr(env.store, "read", fail)
    with pytest.raises(ServiceUnavailable) as raised:
        env.retention.get(env.folder("job-1"))
    assert "phjob-artifacts" not in str(raised.value)


@pytest.mark.parametrize("phjob", [True, False], ids=["ended", "gone"])
def test_the_retention_of_an_ended_job_costs_four_reads(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, phjob: bool
) -> None:
    if not phjob:
        env.jobs.phjobs.clear()
        env.add_folder("job-1", expires_in=-1, legacy_in=-1)
    read, keys = env.store.read, []

    def count(key: str, max_bytes: int) -> bytes:
        keys.append(key)
        return read(key, max_bytes)

    def refuse(prefix: str, **_: object) -> None:
        raise AssertionError(f"listed {prefix}")

    monkeypatch.setattr(env.store, "read", count)
    monkeypatch.setattr(env.store, "list", refuse)
    env.retention.get(env.folder("job-1"))
    assert len(keys) == 4


def _break_write(env: StoreEnvironment, patch: pytest.MonkeyPatch, what: str) -> None:
    write = env.store.write

    def failing_write(key: str, content: bytes) -> None:
        if key.endswith(f"job-1/{what}"):
            raise StoreError("write", key, OSError(5, "Input/output error"))
        write(key, content)

    def failing_note(job: object, expired_at: int) -> None:
        raise ServiceUnavailable("the jobs do not answer")

    if what == "note":
        patch.setattr(env.jobs, "annotate_expiry", failing_note)
    else:
        patch.setattr(env.store, "write", failing_write)

"""What people decide, over a real directory: who may, what is refused, and that it holds in every place."""

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
    env.fill("job-1", expires_in=DAY, legacy_in=DAY)
    return env


def files(env: StoreEnvironment, job: str = "job-1") -> list[int]:
    prefix = env.folder(job).prefix
    return [int(env.store.read(prefix + name, 99)) for name in (EXPIRED_AT, LEGACY_EXPIRED_AT)]


def in_days(days: float) -> int:
    return int(time.time() + days * DAY)


def test_an_extension_holds_in_the_record_both_files_and_on_the_phjob(env: StoreEnvironment) -> None:
    until = in_days(30)
    term = env.retention.extend(env.folder("job-1"), until, ALICE)
    assert (term.expires_at, term.why) == (until, "extended by alice")
    assert env.retention.get(env.folder("job-1")) == term
    assert files(env) == [until, until]
    assert env.jobs.notes == {"job-1": until}


def test_the_seal_cannot_undo_an_extension(env: StoreEnvironment) -> None:
    until = in_days(30)
    env.retention.extend(env.folder("job-1"), until, ALICE)
    env.fill("job-1", expires_in=-DAY, legacy_in=-DAY)
    assert env.retention.get(env.folder("job-1")).expires_at == until


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "is past"), (0.5, "kept until"), (363, "at most"), (10**6, "at most"), (10**15, "at most")],
)
def test_times_that_cannot_be_are_refused_in_words(env: StoreEnvironment, days: float, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        env.retention.extend(env.folder("job-1"), in_days(days), ALICE)
    assert env.stored("phjob-artifacts/") == []


def test_a_pin_holds_in_every_place_and_ends_no_sooner_than_in_a_day(env: StoreEnvironment) -> None:
    folder = env.folder("job-1")
    term = env.retention.pin(folder, "for the paper", ALICE)
    assert (term.expires_at, term.pinned, term.pinned_by, term.note) == (None, True, "alice", "for the paper")
    assert files(env) == [FOREVER, FOREVER]
    assert env.jobs.notes == {"job-1": FOREVER}
    env.ahead = 100 * DAY
    assert not env.retention.get(folder).has_expired(env.clock())
    term = env.retention.unpin(folder, ALICE)
    assert term.expires_at == pytest.approx(env.clock() + DAY, abs=60)
    assert files(env) == [term.expires_at, term.expires_at]
    assert env.jobs.notes == {"job-1": term.expires_at}


def test_unpinned_early_the_term_is_what_it_was(env: StoreEnvironment) -> None:
    folder = env.folder("job-1")
    until = in_days(20)
    env.retention.extend(folder, until, ALICE)
    env.retention.pin(folder, "", ALICE)
    assert env.retention.unpin(folder, ALICE).expires_at == until
    assert env.retention.unpin(folder, ALICE).expires_at == until


def test_a_running_job_can_be_pinned_and_its_files_are_left_to_its_sidecar(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    before = files(env)
    assert env.retention.pin(env.folder("job-1"), "", ALICE).pinned
    assert files(env) == before
    env.add_phjob("job-1", ended_ago=100)
    term = env.retention.unpin(env.folder("job-1"), ALICE)
    assert term.expires_at == pytest.approx(time.time() + 7 * DAY, abs=200)


def test_an_unreadable_expiry_file_is_no_new_file_to_count_from(env: StoreEnvironment) -> None:
    env.add_phjob("job-9", ended_ago=8 * DAY)
    env.store.write(env.folder("job-9").prefix + EXPIRED_AT, b"soon")
    term = env.retention.get(env.folder("job-9"))
    assert term.expires_at == pytest.approx(time.time() - DAY, abs=60)
    assert term.why == "no readable expiredAt: 7 days from the job's end"


def test_what_has_expired_is_not_brought_back(env: StoreEnvironment) -> None:
    env.ahead = 2 * DAY
    with pytest.raises(Expired):
        env.retention.extend(env.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        env.retention.pin(env.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("how", ["deleted", "cleaned", "told by the PhJob"])
def test_what_is_gone_is_neither_pinned_nor_extended(env: StoreEnvironment, how: str) -> None:
    if how == "told by the PhJob":
        status = ArtifactStatus("sealed", 3, 110, in_days(-1))
        env.jobs.known["job-1"] = replace(env.add_phjob("job-2"), id="job-1", artifact_status=status)
        env.store.remove(env.folder("job-1").prefix)
    elif how == "cleaned":
        env.fill("job-1")
        env.cleaner.clean(None)
    else:
        env.cleaner.delete(env.folder("job-1"), ALICE)
    assert env.left() == []
    with pytest.raises(Expired):
        env.retention.extend(env.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        env.retention.pin(env.folder("job-1"), "", ALICE)
    assert [key for key in env.stored("phjob-artifacts/") if "/job-1" in key] == []


def test_a_running_job_without_a_folder_can_be_pinned_and_extended(env: StoreEnvironment) -> None:
    env.add_phjob("job-2", phase="Running", ended_ago=0)
    env.retention.extend(env.folder("job-2"), in_days(0.001), ALICE)
    env.ahead = DAY
    env.retention.extend(env.folder("job-2"), in_days(9), ALICE)
    assert env.retention.pin(env.folder("job-2"), "", ALICE).pinned


def test_a_pin_of_what_is_gone_with_its_phjob_can_be_undone(env: StoreEnvironment) -> None:
    env.retention.pin(env.folder("job-1"), "", ALICE)
    env.store.remove(env.folder("job-1").prefix)
    env.jobs.known.clear()
    assert not env.retention.unpin(env.folder("job-1"), ALICE).pinned
    assert env.stored("phjob-artifacts/pins/") == []
    with pytest.raises(NotFoundError):
        env.retention.unpin(env.folder("job-1"), ALICE)


@pytest.mark.parametrize("what", ["extend", "unpin"])
def test_what_was_decided_while_the_job_ran_shortens_nothing(env: StoreEnvironment, what: str) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    if what == "extend":
        env.retention.extend(env.folder("job-1"), in_days(0.01), ALICE)
    else:
        env.retention.pin(env.folder("job-1"), "", ALICE)
        env.retention.unpin(env.folder("job-1"), ALICE)
    env.add_phjob("job-1", ended_ago=1)
    env.fill("job-1", expires_in=7 * DAY, legacy_in=None)
    env.store.delete(env.folder("job-1").prefix + LEGACY_EXPIRED_AT)
    assert env.retention.get(env.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        env.store.write(env.folder("job-1").prefix + name, b"NaN")
    env.cleaner.clean(None)
    assert env.retention.get(env.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)


def test_a_job_that_makes_its_expiry_unreadable_does_not_make_each_look_a_walk(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, walk = [], env.store.list

    def count(prefix: str, **options: Any) -> Iterator[Item]:
        listed.append(prefix)
        return walk(prefix, **options)

    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        env.store.write(env.folder("job-1").prefix + name, b"NaN")
    monkeypatch.setattr(env.store, "list", count)
    terms = [env.retention.get(env.folder("job-1")) for _ in range(5)]
    assert len(listed) == 1
    assert len(set(terms)) == 1
    env.ahead = NEWEST_CACHE_SECONDS + 1
    env.retention.get(env.folder("job-1"))
    assert len(listed) == 2
    env.retention.get(env.folder("job-2"))
    env.retention.get(env.folder("job-2"))
    assert len(listed) == 4  # what is not there may come at any time


@pytest.mark.parametrize("caller", [SERVICE, STRANGER], ids=["service", "stranger"])
def test_only_those_who_may_change_decide(env: StoreEnvironment, caller: Caller) -> None:
    folder = env.folder("job-1")
    with pytest.raises(NotAuthorized):
        env.retention.extend(folder, in_days(9), caller)
    with pytest.raises(NotAuthorized):
        env.retention.pin(folder, "", caller)
    with pytest.raises(NotAuthorized):
        env.retention.unpin(folder, caller)
    assert env.stored("phjob-artifacts/") == []


def test_where_no_end_is_known_extensions_do_not_move_their_own_bound(env: StoreEnvironment) -> None:
    env.jobs.known.clear()
    env.retention.extend(env.folder("job-1"), in_days(360), ALICE)
    env.ahead = 100 * DAY
    with pytest.raises(BadInput, match="at most"):
        env.retention.extend(env.folder("job-1"), in_days(400), ALICE)


def test_names_reach_log_and_record_as_one_line(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    term = env.retention.pin(env.folder("job-1"), "", Caller("1", "eve\ndeleted group=b", ["a"]))
    assert term.pinned_by == "eve?deleted group=b"
    assert 'user="eve?deleted' in caplog.text


def test_nothing_is_decided_about_what_is_not_there(env: StoreEnvironment) -> None:
    with pytest.raises(NotFoundError):
        env.retention.pin(env.folder("job-2"), "", ALICE)
    assert env.retention.get(env.folder("job-2")).expires_at is None
    env.add_phjob("job-3")
    env.retention.pin(env.folder("job-3"), "", ALICE)
    assert env.left() == ["a/job-1"]


def test_a_note_that_is_too_long_is_refused(env: StoreEnvironment) -> None:
    with pytest.raises(BadInput, match="1000 characters"):
        env.retention.pin(env.folder("job-1"), "x" * 1001, ALICE)


def test_an_unreadable_record_keeps_and_is_not_overwritten(env: StoreEnvironment) -> None:
    env.store.write(extension_key("a", "job-1"), b"{")
    term = env.retention.get(env.folder("job-1"))
    assert (term.expires_at, term.pinned) == (None, False)
    assert "cannot be read" in term.why
    with pytest.raises(ConflictError, match="phjob-artifacts/extensions/a/job-1"):
        env.retention.pin(env.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("failing", [EXPIRED_AT, LEGACY_EXPIRED_AT, "note"])
@pytest.mark.parametrize("what", ["pin", "extend"])
def test_a_decision_that_broke_off_holds_and_is_finished_by_the_next_call(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, failing: str, what: str
) -> None:
    folder, until = env.folder("job-1"), in_days(9)

    def decide() -> None:
        _ = env.retention.pin(folder, "", ALICE) if what == "pin" else env.retention.extend(folder, until, ALICE)

    with monkeypatch.context() as patch:
        _break(env, patch, failing)
        with pytest.raises(ServiceUnavailable):
            decide()
    env.ahead = 2 * DAY
    assert not env.retention.get(folder).has_expired(env.clock())
    decide()
    at = FOREVER if what == "pin" else until
    assert files(env) == [at, at]
    assert env.jobs.notes == {"job-1": at}


def test_a_store_that_fails_is_told_as_unavailable(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str, most: int) -> bytes:
        raise StoreError("read", key, OSError(5, "Input/output error"))

    monkeypatch.setattr(env.store, "read", fail)
    with pytest.raises(ServiceUnavailable) as raised:
        env.retention.get(env.folder("job-1"))
    assert "phjob-artifacts" not in str(raised.value)


@pytest.mark.parametrize("phjob", [True, False], ids=["ended", "gone"])
def test_a_term_costs_four_reads_of_a_job_that_has_ended(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, phjob: bool
) -> None:
    if not phjob:
        env.jobs.known.clear()
        env.fill("job-1", expires_in=-1, legacy_in=-1)
    read, keys = env.store.read, []

    def count(key: str, most: int) -> bytes:
        keys.append(key)
        return read(key, most)

    def refuse(prefix: str, **_: object) -> None:
        raise AssertionError(f"listed {prefix}")

    monkeypatch.setattr(env.store, "read", count)
    monkeypatch.setattr(env.store, "list", refuse)
    env.retention.get(env.folder("job-1"))
    assert len(keys) == 4


def _break(env: StoreEnvironment, patch: pytest.MonkeyPatch, what: str) -> None:
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

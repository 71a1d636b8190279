"""What people decide, over a real directory: who may, what is refused, and that it holds in every place."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.auth.caller import Caller
from api.errors import BadInput, Conflict, Expired, NotAuthorized, NotFound, Unavailable
from api.jobs.job import Outcome
from api.retention.look import REMEMBERED_SECONDS
from api.retention.record import FOREVER, extension_key
from api.store.store import Item
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.worlds import ALICE, DAY, World, directory_world

SERVICE = Caller("2", "dashboard", is_service=True)
STRANGER = Caller("3", "mallory", ["b"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    world.fill("job-1", expires_in=DAY, legacy_in=DAY)
    return world


def files(world: World, job: str = "job-1") -> list[int]:
    prefix = world.folder(job).prefix
    return [int(world.store.read(prefix + name, 99)) for name in (EXPIRED_AT, LEGACY_EXPIRED_AT)]


def in_days(days: float) -> int:
    return int(time.time() + days * DAY)


def test_an_extension_holds_in_the_record_both_files_and_on_the_phjob(world: World) -> None:
    until = in_days(30)
    term = world.terms.extend(world.folder("job-1"), until, ALICE)
    assert (term.expires_at, term.why) == (until, "extended by alice")
    assert world.terms.of(world.folder("job-1")) == term
    assert files(world) == [until, until]
    assert world.jobs.notes == {"job-1": until}


def test_the_seal_cannot_undo_an_extension(world: World) -> None:
    until = in_days(30)
    world.terms.extend(world.folder("job-1"), until, ALICE)
    world.fill("job-1", expires_in=-DAY, legacy_in=-DAY)
    assert world.terms.of(world.folder("job-1")).expires_at == until


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "is past"), (0.5, "kept until"), (363, "at most"), (10**6, "at most"), (10**15, "at most")],
)
def test_times_that_cannot_be_are_refused_in_words(world: World, days: float, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        world.terms.extend(world.folder("job-1"), in_days(days), ALICE)
    assert world.stored("phjob-artifacts/") == []


def test_a_pin_holds_in_every_place_and_ends_no_sooner_than_in_a_day(world: World) -> None:
    folder = world.folder("job-1")
    term = world.terms.pin(folder, "for the paper", ALICE)
    assert (term.expires_at, term.pinned, term.pinned_by, term.note) == (None, True, "alice", "for the paper")
    assert files(world) == [FOREVER, FOREVER]
    assert world.jobs.notes == {"job-1": FOREVER}
    world.ahead = 100 * DAY
    assert not world.terms.of(folder).has_expired(world.clock())
    term = world.terms.unpin(folder, ALICE)
    assert term.expires_at == pytest.approx(world.clock() + DAY, abs=60)
    assert files(world) == [term.expires_at, term.expires_at]
    assert world.jobs.notes == {"job-1": term.expires_at}


def test_unpinned_early_the_term_is_what_it_was(world: World) -> None:
    folder = world.folder("job-1")
    until = in_days(20)
    world.terms.extend(folder, until, ALICE)
    world.terms.pin(folder, "", ALICE)
    assert world.terms.unpin(folder, ALICE).expires_at == until
    assert world.terms.unpin(folder, ALICE).expires_at == until


def test_a_running_job_can_be_pinned_and_its_files_are_left_to_its_sidecar(world: World) -> None:
    world.add_phjob("job-1", phase="Running", ended_ago=0)
    before = files(world)
    assert world.terms.pin(world.folder("job-1"), "", ALICE).pinned
    assert files(world) == before
    world.add_phjob("job-1", ended_ago=100)
    term = world.terms.unpin(world.folder("job-1"), ALICE)
    assert term.expires_at == pytest.approx(time.time() + 7 * DAY, abs=200)


def test_an_unreadable_expiry_file_is_no_new_file_to_count_from(world: World) -> None:
    world.add_phjob("job-9", ended_ago=8 * DAY)
    world.store.write(world.folder("job-9").prefix + EXPIRED_AT, b"soon")
    term = world.terms.of(world.folder("job-9"))
    assert term.expires_at == pytest.approx(time.time() - DAY, abs=60)
    assert term.why == "no readable expiredAt: 7 days from the job's end"


def test_what_has_expired_is_not_brought_back(world: World) -> None:
    world.ahead = 2 * DAY
    with pytest.raises(Expired):
        world.terms.extend(world.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        world.terms.pin(world.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("how", ["deleted", "cleaned", "told by the PhJob"])
def test_what_is_gone_is_neither_pinned_nor_extended(world: World, how: str) -> None:
    if how == "told by the PhJob":
        outcome = Outcome("sealed", 3, 110, in_days(-1))
        world.jobs.known["job-1"] = replace(world.add_phjob("job-2"), id="job-1", outcome=outcome)
        world.store.remove(world.folder("job-1").prefix)
    elif how == "cleaned":
        world.fill("job-1")
        world.cleaner.clean(None)
    else:
        world.cleaner.delete(world.folder("job-1"), ALICE)
    assert world.left() == []
    with pytest.raises(Expired):
        world.terms.extend(world.folder("job-1"), in_days(30), ALICE)
    with pytest.raises(Expired):
        world.terms.pin(world.folder("job-1"), "", ALICE)
    assert [key for key in world.stored("phjob-artifacts/") if "/job-1" in key] == []


def test_a_running_job_without_a_folder_can_be_pinned_and_extended(world: World) -> None:
    world.add_phjob("job-2", phase="Running", ended_ago=0)
    world.terms.extend(world.folder("job-2"), in_days(0.001), ALICE)
    world.ahead = DAY
    world.terms.extend(world.folder("job-2"), in_days(9), ALICE)
    assert world.terms.pin(world.folder("job-2"), "", ALICE).pinned


def test_a_pin_of_what_is_gone_with_its_phjob_can_be_undone(world: World) -> None:
    world.terms.pin(world.folder("job-1"), "", ALICE)
    world.store.remove(world.folder("job-1").prefix)
    world.jobs.known.clear()
    assert not world.terms.unpin(world.folder("job-1"), ALICE).pinned
    assert world.stored("phjob-artifacts/pins/") == []
    with pytest.raises(NotFound):
        world.terms.unpin(world.folder("job-1"), ALICE)


@pytest.mark.parametrize("what", ["extend", "unpin"])
def test_what_was_decided_while_the_job_ran_shortens_nothing(world: World, what: str) -> None:
    world.add_phjob("job-1", phase="Running", ended_ago=0)
    if what == "extend":
        world.terms.extend(world.folder("job-1"), in_days(0.01), ALICE)
    else:
        world.terms.pin(world.folder("job-1"), "", ALICE)
        world.terms.unpin(world.folder("job-1"), ALICE)
    world.add_phjob("job-1", ended_ago=1)
    world.fill("job-1", expires_in=7 * DAY, legacy_in=None)
    world.store.delete(world.folder("job-1").prefix + LEGACY_EXPIRED_AT)
    assert world.terms.of(world.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        world.store.write(world.folder("job-1").prefix + name, b"NaN")
    world.cleaner.clean(None)
    assert world.terms.of(world.folder("job-1")).expires_at == pytest.approx(time.time() + 7 * DAY, abs=60)


def test_a_job_that_makes_its_expiry_unreadable_does_not_make_each_look_a_walk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, walk = [], world.store.list

    def count(prefix: str, **options: Any) -> Iterator[Item]:
        listed.append(prefix)
        return walk(prefix, **options)

    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        world.store.write(world.folder("job-1").prefix + name, b"NaN")
    monkeypatch.setattr(world.store, "list", count)
    terms = [world.terms.of(world.folder("job-1")) for _ in range(5)]
    assert len(listed) == 1
    assert len(set(terms)) == 1
    world.ahead = REMEMBERED_SECONDS + 1
    world.terms.of(world.folder("job-1"))
    assert len(listed) == 2
    world.terms.of(world.folder("job-2"))
    world.terms.of(world.folder("job-2"))
    assert len(listed) == 4  # what is not there may come at any time


@pytest.mark.parametrize("caller", [SERVICE, STRANGER], ids=["service", "stranger"])
def test_only_those_who_may_change_decide(world: World, caller: Caller) -> None:
    folder = world.folder("job-1")
    with pytest.raises(NotAuthorized):
        world.terms.extend(folder, in_days(9), caller)
    with pytest.raises(NotAuthorized):
        world.terms.pin(folder, "", caller)
    with pytest.raises(NotAuthorized):
        world.terms.unpin(folder, caller)
    assert world.stored("phjob-artifacts/") == []


def test_where_no_end_is_known_extensions_do_not_move_their_own_bound(world: World) -> None:
    world.jobs.known.clear()
    world.terms.extend(world.folder("job-1"), in_days(360), ALICE)
    world.ahead = 100 * DAY
    with pytest.raises(BadInput, match="at most"):
        world.terms.extend(world.folder("job-1"), in_days(400), ALICE)


def test_names_reach_log_and_record_as_one_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    term = world.terms.pin(world.folder("job-1"), "", Caller("1", "eve\ndeleted group=b", ["a"]))
    assert term.pinned_by == "eve?deleted group=b"
    assert 'user="eve?deleted' in caplog.text


def test_nothing_is_decided_about_what_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        world.terms.pin(world.folder("job-2"), "", ALICE)
    assert world.terms.of(world.folder("job-2")).expires_at is None
    world.add_phjob("job-3")
    world.terms.pin(world.folder("job-3"), "", ALICE)
    assert world.left() == ["a/job-1"]


def test_a_note_that_is_too_long_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="1000 characters"):
        world.terms.pin(world.folder("job-1"), "x" * 1001, ALICE)


def test_an_unreadable_record_keeps_and_is_not_overwritten(world: World) -> None:
    world.store.write(extension_key("a", "job-1"), b"{")
    term = world.terms.of(world.folder("job-1"))
    assert (term.expires_at, term.pinned) == (None, False)
    assert "cannot be read" in term.why
    with pytest.raises(Conflict, match="phjob-artifacts/extensions/a/job-1"):
        world.terms.pin(world.folder("job-1"), "", ALICE)


@pytest.mark.parametrize("failing", [EXPIRED_AT, LEGACY_EXPIRED_AT, "note"])
@pytest.mark.parametrize("what", ["pin", "extend"])
def test_a_decision_that_broke_off_holds_and_is_finished_by_the_next_call(
    world: World, monkeypatch: pytest.MonkeyPatch, failing: str, what: str
) -> None:
    folder, until = world.folder("job-1"), in_days(9)

    def decide() -> None:
        _ = world.terms.pin(folder, "", ALICE) if what == "pin" else world.terms.extend(folder, until, ALICE)

    with monkeypatch.context() as patch:
        _break(world, patch, failing)
        with pytest.raises(Unavailable):
            decide()
    world.ahead = 2 * DAY
    assert not world.terms.of(folder).has_expired(world.clock())
    decide()
    at = FOREVER if what == "pin" else until
    assert files(world) == [at, at]
    assert world.jobs.notes == {"job-1": at}


def test_a_store_that_fails_is_told_as_unavailable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str, most: int) -> bytes:
        raise StoreError("read", key, OSError(5, "Input/output error"))

    monkeypatch.setattr(world.store, "read", fail)
    with pytest.raises(Unavailable) as raised:
        world.terms.of(world.folder("job-1"))
    assert "phjob-artifacts" not in str(raised.value)


@pytest.mark.parametrize("phjob", [True, False], ids=["ended", "gone"])
def test_a_term_costs_four_reads_of_a_job_that_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, phjob: bool
) -> None:
    if not phjob:
        world.jobs.known.clear()
        world.fill("job-1", expires_in=-1, legacy_in=-1)
    read, keys = world.store.read, []

    def count(key: str, most: int) -> bytes:
        keys.append(key)
        return read(key, most)

    def refuse(prefix: str, **_: object) -> None:
        raise AssertionError(f"listed {prefix}")

    monkeypatch.setattr(world.store, "read", count)
    monkeypatch.setattr(world.store, "list", refuse)
    world.terms.of(world.folder("job-1"))
    assert len(keys) == 4


def _break(world: World, patch: pytest.MonkeyPatch, what: str) -> None:
    write = world.store.write

    def failing_write(key: str, content: bytes) -> None:
        if key.endswith(f"job-1/{what}"):
            raise StoreError("write", key, OSError(5, "Input/output error"))
        write(key, content)

    def failing_note(job: object, expired_at: int) -> None:
        raise Unavailable("the jobs do not answer")

    if what == "note":
        patch.setattr(world.jobs, "note_expiry", failing_note)
    else:
        patch.setattr(world.store, "write", failing_write)

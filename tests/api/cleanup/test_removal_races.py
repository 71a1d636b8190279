"""Decisions and removals of one job in two replicas: at each step of the one, the other does all of its work.

Whatever answered success has won: a pinned job's files are there, a deleted job's are gone and nothing keeps them.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cleanup.run import StoreCleaner
from api.errors import ApiError, BadInput, Conflict, Expired, NotFound
from api.retention.expiry import Rules
from api.retention.record import Extension, Pin, extension_key, format_part, pin_key, removal_key
from api.retention.terms import StoreTerms
from api.store.store import Store
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT
from tests.api.cleanup.worlds import ALICE, DAY, World, directory_world

FILES = {"model.bin", MANIFEST, REPORT, EXPIRED_AT, LEGACY_EXPIRED_AT}
STEPS = ("list", "read", "write", "delete", "remove", "stat")


@pytest.fixture(autouse=True)
def without_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are many worlds, and none of them loses power."""
    monkeypatch.setattr("os.fsync", lambda _: None)


class Interrupted:
    """A store as one replica has it; `interrupt` is called once, before what it does at step `at`."""

    def __init__(self, store: Store, at: int, interrupt: Callable[[], object]) -> None:
        self._store, self._left, self._interrupt = store, at, interrupt
        self.was_reached = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def step(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.was_reached = True
                self._interrupt()
            return method(*arguments, **options)

        return step if name in STEPS else method


class Replica:
    """The parts of one, over its own view of the store."""

    def __init__(self, world: World, store: Any) -> None:
        rules = Rules(world.settings.retention_seconds, world.settings.max_retention_seconds)
        self.terms = StoreTerms(store, world.jobs, rules, world.clock)
        self.cleaner = StoreCleaner(store, world.jobs, world.settings, world.metrics, world.lock, world.clock)
        self._folder = world.folder("job-1")
        self._until = int(world.clock()) + 9 * DAY

    def do(self, what: str) -> bool:
        """Whether it succeeded."""
        try:
            match what:
                case "pin":
                    self.terms.pin(self._folder, "", ALICE)
                case "extend":
                    self.terms.extend(self._folder, self._until, ALICE)
                case "delete":
                    self.cleaner.delete(self._folder, ALICE)
        except (BadInput, Conflict, Expired, NotFound):
            return False
        return True


def interleaved(root: Path, first: str, second: str) -> Iterator[tuple[World, bool, bool]]:
    """For each step of `first`: a world after `second` was done there, and which of the two succeeded."""
    for at in itertools.count(1):
        world = directory_world(root / str(at))
        world.add_phjob("job-1")
        world.fill("job-1", expires_in=DAY, legacy_in=DAY, files={"model.bin": b"m"})
        done: list[bool] = []
        other = Replica(world, world.store)
        store = Interrupted(world.store, at, lambda other=other, done=done: done.append(other.do(second)))  # type: ignore[misc]
        succeeded = Replica(world, store).do(first)
        if not store.was_reached:
            assert at > 5
            return
        yield world, succeeded, done[0]


@pytest.mark.parametrize("decision", ["pin", "extend"])
@pytest.mark.parametrize("is_deleting_first", [True, False])
def test_of_a_decision_and_a_deletion_at_most_one_succeeds(
    tmp_path: Path, decision: str, is_deleting_first: bool
) -> None:
    order = ("delete", decision) if is_deleting_first else (decision, "delete")
    outcomes = set()
    for world, *succeeded in interleaved(tmp_path, *order):
        deleted, decided = succeeded if is_deleting_first else reversed(succeeded)
        left = {key.removeprefix(world.folder("job-1").prefix) for key in world.stored()}
        if deleted:
            assert left <= {EXPIRED_AT, LEGACY_EXPIRED_AT}  # an extension that was written before may come after
            assert left == set() or decided
            assert world.stored("phjob-artifacts/") == []
        else:
            assert left == FILES
            assert world.stored("phjob-artifacts/removals/") == []
        if decided and decision == "pin":
            assert not deleted
            assert world.terms.of(world.folder("job-1")).pinned
        outcomes.add((deleted, decided))
    assert (True, False) in outcomes
    assert len(outcomes) > 1


@pytest.mark.parametrize("order", [("pin", "extend"), ("extend", "pin")])
def test_an_extension_never_loses_a_pin(tmp_path: Path, order: tuple[str, str]) -> None:
    for world, *succeeded in interleaved(tmp_path, *order):
        assert succeeded[order.index("pin")]
        assert world.terms.of(world.folder("job-1")).pinned


def test_a_decision_during_a_removal_is_refused_and_tells_why(tmp_path: Path) -> None:
    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    world.fill("job-1", expires_in=DAY)
    world.store.write(removal_key("a", "job-1"), b"%d\n" % world.clock())
    with pytest.raises(Conflict, match="being removed"):
        world.terms.pin(world.folder("job-1"), "", ALICE)
    with pytest.raises(Conflict, match="being removed"):
        world.terms.extend(world.folder("job-1"), int(world.clock()) + 9 * DAY, ALICE)
    assert world.stored("phjob-artifacts/") == ["phjob-artifacts/removals/a/job-1"]


def test_a_pin_written_while_the_data_goes_keeps_nothing_and_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    world.fill("job-1")
    remove = world.store.remove

    def pinned_meanwhile(prefix: str, last: tuple[str, ...] = ()) -> object:
        world.store.write(pin_key("a", "job-1"), format_part(Pin("bob", 1)))  # by one that looked before the mark
        return remove(prefix, last)

    monkeypatch.setattr(world.store, "remove", pinned_meanwhile)
    assert world.cleaner.clean(None).removed == 1
    assert world.stored("phjob-artifacts/pins/") == []


def test_what_was_decided_of_a_folder_that_comes_during_the_cleanup_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = directory_world(tmp_path / "phfs")
    world.fill("job-1")
    over = Extension(int(world.clock()) - 9, "bob", 1)
    for job in ("comes", "gone"):
        world.store.write(extension_key("a", job), format_part(over))
    remove = world.store.remove

    def restored_meanwhile(prefix: str, last: tuple[str, ...] = ()) -> object:
        world.fill("comes", expires_in=DAY)
        return remove(prefix, last)

    monkeypatch.setattr(world.store, "remove", restored_meanwhile)
    assert world.cleaner.clean(None).removed == 1
    assert world.stored("phjob-artifacts/extensions/") == ["phjob-artifacts/extensions/a/comes"]


def test_a_deletion_that_was_killed_is_refused_at_once_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(prefix: str, last: tuple[str, ...] = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    folder = world.fill("job-1", expires_in=9 * DAY)
    world.terms.extend(folder, int(world.clock()) + 20 * DAY, ALICE)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "remove", fail)
        with pytest.raises(ApiError):
            world.cleaner.delete(folder, ALICE)
    assert world.terms.of(world.folder("job-1")).has_expired(world.clock())
    (due,) = world.cleaner.plan(None).due
    assert due.why == "its removal has begun"
    assert world.cleaner.clean(None).removed == 1
    assert world.left() == []
    assert world.stored("phjob-artifacts/removals/") == []


def test_a_removal_killed_after_the_data_is_ended_by_the_next_cleanup(tmp_path: Path) -> None:
    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    world.store.write(removal_key("a", "job-1"), b"%d\n" % world.clock())
    world.cleaner.clean(None)
    assert world.stored("phjob-artifacts/removals/") == []
    assert world.jobs.notes["job-1"] == pytest.approx(-world.clock(), abs=60)


@pytest.mark.parametrize("decision", ["pin", "extend"])
def test_a_mark_that_a_killed_removal_left_beside_a_decision_holds_for_a_day(tmp_path: Path, decision: str) -> None:
    world = directory_world(tmp_path / "phfs")
    world.add_phjob("job-1")
    folder = world.fill("job-1", expires_in=DAY)
    Replica(world, world.store).do(decision)
    world.store.write(removal_key("a", "job-1"), b"%d\n" % (world.clock() - DAY + 100))
    assert world.cleaner.clean(None).removed == 0
    assert world.stored("phjob-artifacts/removals/") != []
    world.ahead = 200
    assert world.cleaner.clean(None, force=True).removed == 0
    assert world.stored("phjob-artifacts/removals/") == []
    world.terms.pin(folder, "", ALICE)

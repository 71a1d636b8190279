"""Decisions and removals of one job in two replicas: at each step of the one, the other does all of its work.

Whatever answered success has won: a pinned job's files are there, a deleted job's are gone and nothing keeps them.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cleanup.cleaner import Cleaner
from api.errors import ApiError, BadInput, ConflictError, Expired, NotFoundError
from api.retention.expiry import RetentionPolicy
from api.retention.record import Extension, Pin, extension_key, format_decision, pin_key, removal_key
from api.retention.service import RetentionService
from api.store.store import Store
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT
from tests.api.cleanup.environment import ALICE, DAY, StoreEnvironment, directory_environment

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

    def __init__(self, env: StoreEnvironment, store: Any) -> None:
        rules = RetentionPolicy(env.settings.retention_seconds, env.settings.max_retention_seconds)
        self.retention = RetentionService(store, env.jobs, rules, env.clock)
        self.cleaner = Cleaner(store, env.jobs, env.settings, env.metrics, env.lock, env.clock)
        self._folder = env.folder("job-1")
        self._until = int(env.clock()) + 9 * DAY

    def do(self, what: str) -> bool:
        """Whether it succeeded."""
        try:
            match what:
                case "pin":
                    self.retention.pin(self._folder, "", ALICE)
                case "extend":
                    self.retention.extend(self._folder, self._until, ALICE)
                case "delete":
                    self.cleaner.delete(self._folder, ALICE)
        except (BadInput, ConflictError, Expired, NotFoundError):
            return False
        return True


def interleaved(root: Path, first: str, second: str) -> Iterator[tuple[StoreEnvironment, bool, bool]]:
    """For each step of `first`: a env after `second` was done there, and which of the two succeeded."""
    for at in itertools.count(1):
        env = directory_environment(root / str(at))
        env.add_phjob("job-1")
        env.fill("job-1", expires_in=DAY, legacy_in=DAY, files={"model.bin": b"m"})
        done: list[bool] = []
        other = Replica(env, env.store)
        store = Interrupted(env.store, at, lambda other=other, done=done: done.append(other.do(second)))  # type: ignore[misc]
        succeeded = Replica(env, store).do(first)
        if not store.was_reached:
            assert at > 5
            return
        yield env, succeeded, done[0]


@pytest.mark.parametrize("decision", ["pin", "extend"])
@pytest.mark.parametrize("is_deleting_first", [True, False])
def test_of_a_decision_and_a_deletion_at_most_one_succeeds(
    tmp_path: Path, decision: str, is_deleting_first: bool
) -> None:
    order = ("delete", decision) if is_deleting_first else (decision, "delete")
    outcomes = set()
    for env, *succeeded in interleaved(tmp_path, *order):
        deleted, decided = succeeded if is_deleting_first else reversed(succeeded)
        left = {key.removeprefix(env.folder("job-1").prefix) for key in env.stored()}
        if deleted:
            assert left <= {EXPIRED_AT, LEGACY_EXPIRED_AT}  # an extension that was written before may come after
            assert left == set() or decided
            assert env.stored("phjob-artifacts/") == []
        else:
            assert left == FILES
            assert env.stored("phjob-artifacts/removals/") == []
        if decided and decision == "pin":
            assert not deleted
            assert env.retention.get(env.folder("job-1")).pinned
        outcomes.add((deleted, decided))
    assert (True, False) in outcomes
    assert len(outcomes) > 1


@pytest.mark.parametrize("order", [("pin", "extend"), ("extend", "pin")])
def test_an_extension_never_loses_a_pin(tmp_path: Path, order: tuple[str, str]) -> None:
    for env, *succeeded in interleaved(tmp_path, *order):
        assert succeeded[order.index("pin")]
        assert env.retention.get(env.folder("job-1")).pinned


def test_a_decision_during_a_removal_is_refused_and_tells_why(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.fill("job-1", expires_in=DAY)
    env.store.write(removal_key("a", "job-1"), b"%d\n" % env.clock())
    with pytest.raises(ConflictError, match="being removed"):
        env.retention.pin(env.folder("job-1"), "", ALICE)
    with pytest.raises(ConflictError, match="being removed"):
        env.retention.extend(env.folder("job-1"), int(env.clock()) + 9 * DAY, ALICE)
    assert env.stored("phjob-artifacts/") == ["phjob-artifacts/removals/a/job-1"]


def test_a_pin_written_while_the_data_goes_keeps_nothing_and_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.fill("job-1")
    remove = env.store.remove

    def pinned_meanwhile(prefix: str, last: tuple[str, ...] = ()) -> object:
        env.store.write(pin_key("a", "job-1"), format_decision(Pin("bob", 1)))  # by one that looked before the mark
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", pinned_meanwhile)
    assert env.cleaner.clean(None).removed == 1
    assert env.stored("phjob-artifacts/pins/") == []


def test_what_was_decided_of_a_folder_that_comes_during_the_cleanup_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.fill("job-1")
    over = Extension(int(env.clock()) - 9, "bob", 1)
    for job in ("comes", "gone"):
        env.store.write(extension_key("a", job), format_decision(over))
    remove = env.store.remove

    def restored_meanwhile(prefix: str, last: tuple[str, ...] = ()) -> object:
        env.fill("comes", expires_in=DAY)
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", restored_meanwhile)
    assert env.cleaner.clean(None).removed == 1
    assert env.stored("phjob-artifacts/extensions/") == ["phjob-artifacts/extensions/a/comes"]


def test_a_deletion_that_was_killed_is_refused_at_once_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(prefix: str, last: tuple[str, ...] = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    folder = env.fill("job-1", expires_in=9 * DAY)
    env.retention.extend(folder, int(env.clock()) + 20 * DAY, ALICE)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "remove", fail)
        with pytest.raises(ApiError):
            env.cleaner.delete(folder, ALICE)
    assert env.retention.get(env.folder("job-1")).has_expired(env.clock())
    (due,) = env.cleaner.plan(None).due
    assert due.why == "its removal has begun"
    assert env.cleaner.clean(None).removed == 1
    assert env.left() == []
    assert env.stored("phjob-artifacts/removals/") == []


def test_a_removal_killed_after_the_data_is_ended_by_the_next_cleanup(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.store.write(removal_key("a", "job-1"), b"%d\n" % env.clock())
    env.cleaner.clean(None)
    assert env.stored("phjob-artifacts/removals/") == []
    assert env.jobs.notes["job-1"] == pytest.approx(-env.clock(), abs=60)


@pytest.mark.parametrize("decision", ["pin", "extend"])
def test_a_mark_that_a_killed_removal_left_beside_a_decision_holds_for_a_day(tmp_path: Path, decision: str) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    folder = env.fill("job-1", expires_in=DAY)
    Replica(env, env.store).do(decision)
    env.store.write(removal_key("a", "job-1"), b"%d\n" % (env.clock() - DAY + 100))
    assert env.cleaner.clean(None).removed == 0
    assert env.stored("phjob-artifacts/removals/") != []
    env.ahead = 200
    assert env.cleaner.clean(None, force=True).removed == 0
    assert env.stored("phjob-artifacts/removals/") == []
    env.retention.pin(folder, "", ALICE)

"""Races of decisions and removals of one job in two replicas: the second runs completely at each step of the first.

An operation that returned success has won: a pinned job's files exist; a deleted job's files and records do not.
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
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: the tests create many stores, and none of them loses power."""
    monkeypatch.setattr("os.fsync", lambda _: None)


class InterruptedStore:
    """A store that calls `interrupt` once, before its `at`-th operation."""

    def __init__(self, store: Store, at: int, interrupt: Callable[[], object]) -> None:
        self._store, self._remaining, self._interrupt = store, at, interrupt
        self.was_reached = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def step(*arguments: Any, **options: Any) -> Any:
            self._remaining -= 1
            if self._remaining == 0:
                self.was_reached = True
                self._interrupt()
            return method(*arguments, **options)

        return step if name in STEPS else method


class ApiReplica:
    """The services of one replica, with its own view of the store."""

    def __init__(self, env: StoreEnvironment, store: Any) -> None:
        policy = RetentionPolicy(env.settings.retention_seconds, env.settings.max_retention_seconds)
        self.retention = RetentionService(store, env.jobs, policy, env.clock)
        self.cleaner = Cleaner(store, env.jobs, env.settings, env.metrics, env.lock, env.clock)
        self._folder = env.folder("job-1")
        self._until = int(env.clock()) + 9 * DAY

    def run(self, operation: str) -> bool:
        """Run the operation. Returns whether it succeeded."""
        try:
            match operation:
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
    """Run `second` at each step of `first`. Yields the environment, and which of the two succeeded."""
    for at in itertools.count(1):
        env = directory_environment(root / str(at))
        env.add_phjob("job-1")
        env.add_folder("job-1", expires_in=DAY, legacy_in=DAY, files={"model.bin": b"m"})
        done: list[bool] = []
        other = ApiReplica(env, env.store)
        store = InterruptedStore(env.store, at, lambda other=other, done=done: done.append(other.run(second)))  # type: ignore[misc]
        succeeded = ApiReplica(env, store).run(first)
        if not store.was_reached:
            assert at > 5
            return
        yield env, succeeded, done[0]


@pytest.mark.parametrize("decision", ["pin", "extend"])
@pytest.mark.parametrize("is_deleting_first", [True, False])
def test_a_decision_and_a_deletion_never_both_succeed(tmp_path: Path, decision: str, is_deleting_first: bool) -> None:
    order = ("delete", decision) if is_deleting_first else (decision, "delete")
    outcomes = set()
    for env, *succeeded in interleaved(tmp_path, *order):
        deleted, decided = succeeded if is_deleting_first else reversed(succeeded)
        remaining = {key.removeprefix(env.folder("job-1").prefix) for key in env.list_keys()}
        if deleted:
            assert remaining <= {EXPIRED_AT, LEGACY_EXPIRED_AT}  # an earlier extension may write them afterwards
            assert remaining == set() or decided
            assert env.list_keys("phjob-artifacts/") == []
        else:
            assert remaining == FILES
            assert env.list_keys("phjob-artifacts/removals/") == []
        if decided and decision == "pin":
            assert not deleted
            assert env.retention.get(env.folder("job-1")).is_pinned
        outcomes.add((deleted, decided))
    assert (True, False) in outcomes
    assert len(outcomes) > 1


@pytest.mark.parametrize("order", [("pin", "extend"), ("extend", "pin")])
def test_an_extension_never_overwrites_a_pin(tmp_path: Path, order: tuple[str, str]) -> None:
    for env, *succeeded in interleaved(tmp_path, *order):
        assert succeeded[order.index("pin")]
        assert env.retention.get(env.folder("job-1")).is_pinned


def test_a_decision_during_a_removal_raises_conflict(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.add_folder("job-1", expires_in=DAY)
    env.store.write(removal_key("a", "job-1"), b"%d\n" % env.clock())
    with pytest.raises(ConflictError, match="being removed"):
        env.retention.pin(env.folder("job-1"), "", ALICE)
    with pytest.raises(ConflictError, match="being removed"):
        env.retention.extend(env.folder("job-1"), int(env.clock()) + 9 * DAY, ALICE)
    assert env.list_keys("phjob-artifacts/") == ["phjob-artifacts/removals/a/job-1"]


def test_a_pin_written_during_the_removal_is_removed_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.add_folder("job-1")
    remove = env.store.remove

    def pin_and_remove(prefix: str, last: tuple[str, ...] = ()) -> object:
        env.store.write(
            pin_key("a", "job-1"), format_decision(Pin("bob", 1))
        )  # by a replica that checked before the marker was written
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", pin_and_remove)
    assert env.cleaner.clean(None).removed == 1
    assert env.list_keys("phjob-artifacts/pins/") == []


def test_the_record_of_a_folder_restored_during_the_cleanup_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_folder("job-1")
    over = Extension(int(env.clock()) - 9, "bob", 1)
    for job in ("restored", "gone"):
        env.store.write(extension_key("a", job), format_decision(over))
    remove = env.store.remove

    def restore_and_remove(prefix: str, last: tuple[str, ...] = ()) -> object:
        env.add_folder("restored", expires_in=DAY)
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", restore_and_remove)
    assert env.cleaner.clean(None).removed == 1
    assert env.list_keys("phjob-artifacts/extensions/") == ["phjob-artifacts/extensions/a/restored"]


def test_an_interrupted_deletion_expires_the_artifacts_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(prefix: str, last: tuple[str, ...] = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    folder = env.add_folder("job-1", expires_in=9 * DAY)
    env.retention.extend(folder, int(env.clock()) + 20 * DAY, ALICE)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "remove", fail)
        with pytest.raises(ApiError):
            env.cleaner.delete(folder, ALICE)
    assert env.retention.get(env.folder("job-1")).has_expired(env.clock())
    (due,) = env.cleaner.plan(None).due
    assert due.reason == "its removal has started"
    assert env.cleaner.clean(None).removed == 1
    assert env.remaining_jobs() == []
    assert env.list_keys("phjob-artifacts/removals/") == []


def test_a_removal_killed_after_the_data_is_finished_by_the_next_cleanup(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    env.store.write(removal_key("a", "job-1"), b"%d\n" % env.clock())
    env.cleaner.clean(None)
    assert env.list_keys("phjob-artifacts/removals/") == []
    assert env.jobs.annotations["job-1"] == pytest.approx(-env.clock(), abs=60)


@pytest.mark.parametrize("decision", ["pin", "extend"])
def test_a_stale_removal_marker_beside_a_decision_is_deleted_after_a_day(tmp_path: Path, decision: str) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1")
    folder = env.add_folder("job-1", expires_in=DAY)
    ApiReplica(env, env.store).run(decision)
    env.store.write(removal_key("a", "job-1"), b"%d\n" % (env.clock() - DAY + 100))
    assert env.cleaner.clean(None).removed == 0
    assert env.list_keys("phjob-artifacts/removals/") != []
    env.clock_offset = 200
    assert env.cleaner.clean(None, force=True).removed == 0
    assert env.list_keys("phjob-artifacts/removals/") == []
    env.retention.pin(folder, "", ALICE)

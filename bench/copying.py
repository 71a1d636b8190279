"""Rows on copying: from main's exit to everything in the store, against the wrapper's copy of the same data."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.baseline import copy_by_shell
from bench.data import DataSet, change, hash_alone, sample
from bench.sidecars import running
from bench.stores import Disk, Store, local_store, settle, slow_store
from bench.table import BenchError, Goal, Row, Unavailable, absent, compared

Wanted = Callable[[str], bool]
_HASH_ALONE = "hash alone (sha256, one thread)"
_NEVER_QUIET = "3600"  # nothing is copied before SIGTERM


@dataclass(frozen=True)
class Situation:
    """What the sidecar finds at the job's end. `synced`: it had copied everything before; `changed`: since then."""

    name: str
    digest: str
    synced: bool
    changed: bool = False


NOTHING = Situation("nothing changed", "sha256", synced=True)
CHANGED = Situation("10 files changed", "sha256", synced=True, changed=True)
PLAIN = Situation("everything to copy, no digest", "none", synced=False)
HASHED = Situation("everything to copy, sha256", "sha256", synced=False)
SITUATIONS = (NOTHING, CHANGED, PLAIN, HASHED)


@dataclass(frozen=True)
class Group:
    """The rows of one data set on one store: the goals of its situations, and how often each is measured."""

    data: DataSet
    open_store: Callable[[Disk], AbstractContextManager[Store]]
    store: str
    goals: dict[Situation, Goal]
    rounds: int
    baseline_once: bool  # per round, for all its situations: a slow store is steady, and the baseline takes long

    def row_name(self, situation: str) -> str:
        return f"{self.store} {self.data.name}: {situation}"

    def row_names(self) -> list[str]:
        """All of its rows, in order."""
        names = [each.name for each in self.situations()] + ([_HASH_ALONE] if self.hashes_alone else [])
        return [self.row_name(name) for name in names]

    @property
    def hashes_alone(self) -> bool:
        """Whether to measure the hash alone too: it depends on the data only."""
        return self.open_store is local_store

    def situations(self) -> list[Situation]:
        return [each for each in SITUATIONS if self.data.files > 1 or not each.changed]


def groups(quick: bool) -> list[Group]:
    """Every store and data set there are rows for."""
    part = 5 if quick else 1
    some = DataSet("A", 1000 // part, 100 * 1024, 10)
    large = DataSet("B", 1, 100 * 1024 * 1024 // part, 0)
    many = DataSet("C", 20_000 // part, 4096, 20)
    fewer = DataSet("Cs", 2000 // part, 4096, 10)
    fast = {NOTHING: Goal(5), PLAIN: Goal(1.3)}
    slow = {NOTHING: Goal(100), PLAIN: Goal(5)}
    rounds, slow_rounds = (3, 1) if quick else (7, 2)
    return [
        Group(some, local_store, "local disk", fast, rounds, False),
        Group(large, local_store, "local disk", fast, rounds, False),
        Group(many, local_store, "local disk", fast | {PLAIN: Goal(1)}, rounds if quick else 5, False),
        Group(some, slow_store, "slow store", slow, slow_rounds, True),
        Group(large, slow_store, "slow store", slow, slow_rounds, True),
        Group(fewer, slow_store, "slow store", slow, slow_rounds, True),
    ]


class _Case:
    """A row under way. `measure` gives seconds: until the exit and, of a sidecar, until the sealed report."""

    def __init__(self, what: str, goal: Goal | None, measure: Callable[[], tuple[float, ...]]) -> None:
        self.what, self._goal, self._measure = what, goal, measure
        self._base: list[float] = []
        self._ours: list[tuple[float, ...]] = []
        self._failed: BenchError | None = None

    def take(self, base: float) -> None:
        """Measure once, to be paired with a baseline of `base` seconds; after a failure nothing more."""
        if self._failed is not None:
            return
        try:
            self._ours.append(self._measure())
        except BenchError as error:
            self._failed = error
        else:
            self._base.append(base)

    def row(self) -> Row:
        """What came out."""
        if self._failed is not None:
            return absent(self.what, self._failed)
        ours, *sealed = (list(column) for column in zip(*self._ours, strict=True))
        return compared(self.what, self._base, ours, sealed[0] if sealed else (), self._goal)


def rows(disk: Disk, quick: bool, wanted: Wanted) -> Iterator[Row]:
    """All rows of this topic that are wanted."""
    for group in groups(quick):
        names = [name for name in group.row_names() if wanted(name)]
        if not names:
            continue
        try:
            with group.open_store(disk) as store:
                cases = [case for case in _cases(group, disk, store) if case.what in names]
                _measure(group, disk, store, cases)
        except (BenchError, Unavailable) as reason:
            yield from (absent(name, reason) for name in names)
        else:
            yield from (case.row() for case in cases)


def _cases(group: Group, disk: Disk, store: Store) -> Iterator[_Case]:
    data = group.data
    for each in group.situations():
        measure = functools.partial(_collect, data, disk, store, each)
        yield _Case(group.row_name(each.name), group.goals.get(each), measure)
    if group.hashes_alone:
        yield _Case(group.row_name(_HASH_ALONE), None, lambda: (hash_alone(data, disk.home(data) / "artifacts"),))


def _measure(group: Group, disk: Disk, store: Store, cases: list[_Case]) -> None:
    """All rounds. Raises BenchError where the baseline fails."""
    for _ in range(group.rounds):
        base = 0.0
        for case in cases:
            if not base or not group.baseline_once:
                base = copy_by_shell(disk.home(group.data) / "artifacts", store)
                store.clear()
            case.take(base)
            store.clear()


def _collect(data: DataSet, disk: Disk, store: Store, situation: Situation) -> tuple[float, float]:
    """Seconds from SIGTERM to the exit and to the sealed report."""
    home = disk.home(data)
    quiet = "0" if situation.synced else _NEVER_QUIET
    settings = {"DIGEST": situation.digest, "QUIET_SECONDS": quiet, "SYNC_SECONDS": "3600"}
    with running(home, store, settings) as sidecar:
        sidecar.wait_idle(data.files if situation.synced else None)
        settle(store.backing)
        if situation.changed:
            change(data, home / "artifacts")
        elif not situation.synced and sidecar.is_reported():
            raise BenchError("it copied before it was to")
        end = sidecar.end()
    report = end.report
    if report is None or end.sealed_seconds is None or report.state != "sealed":
        raise BenchError(f"not sealed but {report.state if report else 'without report'}")
    if report.collected.files != data.files:
        raise BenchError(f"{report.collected.files} of {data.files} files collected")
    for path in sample(data):
        if (home / "artifacts" / path).read_bytes() != (sidecar.folder / path).read_bytes():
            raise BenchError(f"the copy of {path} differs")
    return end.exit_seconds, end.sealed_seconds

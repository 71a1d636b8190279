"""Rows on copying: from main's exit to everything in the store, against the wrapper's copy of the same data."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.baseline import copy_by_shell
from bench.data import DataSet, change, hash_alone, sample
from bench.sidecars import running
from bench.stores import Disk, Store, local_store, settle, slow_store
from bench.table import BenchError, Goal, Row, Unavailable, absent, compared

Wanted = Callable[[str], bool]
HASH_ALONE = "hash alone (sha256, one thread)"
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


def rows(disk: Disk, quick: bool, wanted: Wanted) -> Iterator[Row]:
    """All rows of this topic that are wanted."""
    for group in groups(quick):
        situations = [each for each in group.situations() if wanted(group.row_name(each.name))]
        hashing = group.open_store is local_store and wanted(group.row_name(HASH_ALONE))
        if not situations and not hashing:
            continue
        try:
            with group.open_store(disk) as store:
                yield from _measure(group, disk, store, situations, hashing)
        except Unavailable as reason:
            for situation in situations:
                yield absent(group.row_name(situation.name), reason)


def _measure(group: Group, disk: Disk, store: Store, situations: list[Situation], hashing: bool) -> Iterator[Row]:
    base: dict[str, list[float]] = {}
    ours: dict[str, list[float]] = {}
    sealed: dict[str, list[float]] = {}
    failed: dict[str, BenchError] = {}
    names = [each.name for each in situations] + ([HASH_ALONE] if hashing else [])
    by_name = {each.name: each for each in situations}
    for _ in range(group.rounds):
        seconds = 0.0
        for name in names:
            if name in failed:
                continue
            try:
                if not seconds or not group.baseline_once:
                    seconds = _baseline(group.data, disk, store)
                if name == HASH_ALONE:
                    ended = hash_alone(group.data, disk.home(group.data) / "artifacts"), 0.0
                else:
                    ended = _collect(group.data, disk, store, by_name[name])
            except BenchError as error:
                failed[name] = error
                continue
            finally:
                store.clear()
            base.setdefault(name, []).append(seconds)
            ours.setdefault(name, []).append(ended[0])
            sealed.setdefault(name, []).append(ended[1])
    for name in names:
        if name in failed:
            yield absent(group.row_name(name), failed[name])
        else:
            goal = group.goals.get(by_name[name]) if name in by_name else None
            until = sealed[name] if name in by_name else ()
            yield compared(group.row_name(name), base[name], ours[name], until, goal)


def _baseline(data: DataSet, disk: Disk, store: Store) -> float:
    artifacts = disk.home(data) / "artifacts"
    seconds = copy_by_shell(artifacts, store)
    store.clear()
    return seconds


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

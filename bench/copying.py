"""Measures the time from main's exit until all artifacts are stored. Baseline: the wrapper's copy of the same data."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.baseline import copy_by_shell
from bench.data import DataSet, change_sample, hash_files, sample_paths
from bench.sidecar_process import running_sidecar
from bench.stores import BenchmarkStore, Disk, local_store, slow_store, wait_for_writeback
from bench.table import BenchError, Goal, NotMeasurable, Row, failed_row, ratio_row

RowFilter = Callable[[str], bool]
_HASH_ONLY = "hash only (sha256, one thread)"
_NEVER_QUIET = "3600"  # no file is copied before SIGTERM


@dataclass(frozen=True)
class Scenario:
    """The state of the artifacts at the job's end. `is_synced`: all are copied; `has_changes`: some changed later."""

    name: str
    digest: str
    is_synced: bool
    has_changes: bool = False


NOTHING = Scenario("nothing changed", "sha256", is_synced=True)
CHANGED = Scenario("10 files changed", "sha256", is_synced=True, has_changes=True)
PLAIN = Scenario("everything to copy, no digest", "none", is_synced=False)
HASHED = Scenario("everything to copy, sha256", "sha256", is_synced=False)
SCENARIOS = (NOTHING, CHANGED, PLAIN, HASHED)


@dataclass(frozen=True)
class CopyBenchmark:
    """The scenarios of one data set on one store, with their goals.

    `baseline_once`: measure the baseline once per round instead of once per scenario, because it takes long on a slow
    store and varies little.
    """

    data: DataSet
    open_store: Callable[[Disk], AbstractContextManager[BenchmarkStore]]
    store: str
    goals: dict[Scenario, Goal]
    rounds: int
    baseline_once: bool

    def row_name(self, scenario: str) -> str:
        """Return the name of a scenario's row."""
        return f"{self.store} {self.data.name}: {scenario}"

    def row_names(self) -> list[str]:
        """Return the names of all rows, in order."""
        names = [scenario.name for scenario in self.scenarios()] + ([_HASH_ONLY] if self.has_hash_row else [])
        return [self.row_name(name) for name in names]

    @property
    def has_hash_row(self) -> bool:
        """Whether to measure the hashing alone too. It depends only on the data, so once per data set is enough."""
        return self.open_store is local_store

    def scenarios(self) -> list[Scenario]:
        """Return the scenarios that make sense for the data set."""
        return [scenario for scenario in SCENARIOS if self.data.files > 1 or not scenario.has_changes]


def benchmarks(quick: bool) -> list[CopyBenchmark]:
    """Return the benchmarks for every store and data set."""
    part = 5 if quick else 1
    some = DataSet("A", 1000 // part, 100 * 1024, 10)
    large = DataSet("B", 1, 100 * 1024 * 1024 // part, 0)
    many = DataSet("C", 20_000 // part, 4096, 20)
    fewer = DataSet("Cs", 2000 // part, 4096, 10)
    fast = {NOTHING: Goal(5), PLAIN: Goal(1.3)}
    slow = {NOTHING: Goal(100), PLAIN: Goal(5)}
    rounds, slow_rounds = (3, 1) if quick else (7, 2)
    return [
        CopyBenchmark(some, local_store, "local disk", fast, rounds, False),
        CopyBenchmark(large, local_store, "local disk", fast, rounds, False),
        CopyBenchmark(many, local_store, "local disk", fast | {PLAIN: Goal(1)}, rounds if quick else 5, False),
        CopyBenchmark(some, slow_store, "slow store", slow, slow_rounds, True),
        CopyBenchmark(large, slow_store, "slow store", slow, slow_rounds, True),
        CopyBenchmark(fewer, slow_store, "slow store", slow, slow_rounds, True),
    ]


class _Measurement:
    """The measurements of one row. `measure` returns the seconds until the exit and, for a sidecar, until the seal."""

    def __init__(self, name: str, goal: Goal | None, measure: Callable[[], tuple[float, ...]]) -> None:
        self.name, self._goal, self._measure = name, goal, measure
        self._baseline: list[float] = []
        self._ours: list[tuple[float, ...]] = []
        self._error: BenchError | None = None

    def run(self, baseline_seconds: float) -> None:
        """Measure once and pair the result with a baseline. Does nothing after an error."""
        if self._error is not None:
            return
        try:
            self._ours.append(self._measure())
        except BenchError as error:
            self._error = error
        else:
            self._baseline.append(baseline_seconds)

    def row(self) -> Row:
        """Return the table's row."""
        if self._error is not None:
            return failed_row(self.name, self._error)
        ours, *sealed = (list(column) for column in zip(*self._ours, strict=True))
        return ratio_row(self.name, self._baseline, ours, sealed[0] if sealed else (), self._goal)


def rows(disk: Disk, quick: bool, is_selected: RowFilter) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    for benchmark in benchmarks(quick):
        names = [name for name in benchmark.row_names() if is_selected(name)]
        if not names:
            continue
        try:
            with benchmark.open_store(disk) as store:
                selected = [
                    measurement for measurement in _measurements(benchmark, disk, store) if measurement.name in names
                ]
                _run_rounds(benchmark, disk, store, selected)
        except (BenchError, NotMeasurable) as error:
            yield from (failed_row(name, error) for name in names)
        else:
            yield from (measurement.row() for measurement in selected)


def _measurements(benchmark: CopyBenchmark, disk: Disk, store: BenchmarkStore) -> Iterator[_Measurement]:
    data = benchmark.data
    for scenario in benchmark.scenarios():
        measure = functools.partial(_collect, data, disk, store, scenario)
        yield _Measurement(benchmark.row_name(scenario.name), benchmark.goals.get(scenario), measure)
    if benchmark.has_hash_row:
        hash_data = lambda: (hash_files(data, disk.home(data) / "artifacts"),)  # noqa: E731
        yield _Measurement(benchmark.row_name(_HASH_ONLY), None, hash_data)


def _run_rounds(benchmark: CopyBenchmark, disk: Disk, store: BenchmarkStore, measurements: list[_Measurement]) -> None:
    """Run all rounds. Raises BenchError if the baseline fails."""
    for _ in range(benchmark.rounds):
        baseline_seconds = 0.0
        for measurement in measurements:
            if not baseline_seconds or not benchmark.baseline_once:
                baseline_seconds = copy_by_shell(disk.home(benchmark.data) / "artifacts", store)
                store.clear()
            measurement.run(baseline_seconds)
            store.clear()


def _collect(data: DataSet, disk: Disk, store: BenchmarkStore, scenario: Scenario) -> tuple[float, float]:
    """Return the seconds from SIGTERM to the sidecar's exit and to the sealed report."""
    home = disk.home(data)
    quiet = "0" if scenario.is_synced else _NEVER_QUIET
    settings = {"DIGEST": scenario.digest, "QUIET_SECONDS": quiet, "SYNC_SECONDS": "3600"}
    with running_sidecar(home, store, settings) as sidecar:
        sidecar.wait_idle(data.files if scenario.is_synced else None)
        wait_for_writeback(store.backing)
        if scenario.has_changes:
            change_sample(data, home / "artifacts")
        elif not scenario.is_synced and sidecar.is_reported():
            raise BenchError("the sidecar copied files before SIGTERM")
        end = sidecar.end()
    report = end.report
    if report is None or end.sealed_seconds is None or report.state != "sealed":
        raise BenchError(f"the report is {report.state if report else 'missing'} instead of sealed")
    if report.collected.files != data.files:
        raise BenchError(f"{report.collected.files} of {data.files} files collected")
    for path in sample_paths(data):
        if (home / "artifacts" / path).read_bytes() != (sidecar.folder / path).read_bytes():
            raise BenchError(f"the copy of {path} differs")
    return end.exit_seconds, end.sealed_seconds

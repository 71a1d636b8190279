"""What metrics show of cleanups and of the store is in the store: the same on every replica, and after a restart."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.cleanup.kept import KEPT, measure_kept, read_kept
from api.cleanup.last_run import LAST_RUN, LastRun, read_last_run, write_last_run
from api.cleanup.shown import measure_stored, show_stored
from api.cleanup.timetable import RETRY_SECONDS, Timetable
from api.errors import Refused
from api.metrics import Metrics
from api.store.store import Item
from artifacts.errors import StoreError
from tests.api.cleanup.worlds import DAY, FILES, World, directory_world
from tests.lines import lines_of

SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return directory_world(tmp_path / "phfs")


def timetable(world: World, metrics: Metrics) -> Timetable:
    return Timetable(world.cleaner, world.store, metrics, "03:00", world.clock)


def replica(world: World, groups: int = 0) -> dict[str, float]:
    """What another replica shows, once it has looked into the store."""
    metrics = Metrics(CollectorRegistry(), groups, world.clock)
    show_stored(world.store, metrics)
    return {
        sample.name.removeprefix("phjob_artifact_") + "".join(sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


def test_a_fresh_replica_shows_zeros(world: World) -> None:
    metrics = Metrics(CollectorRegistry(), 3)
    for name in ("last_success_timestamp_seconds", "last_run_timestamp_seconds", "due", "oldest_due_age_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_cleanup_{name}") == 0
    for name in ("kept_jobs", "kept_files", "kept_bytes", "kept_measured_timestamp_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_{name}") == 0
    assert metrics.registry.get_sample_value("phjob_artifact_group_kept_bytes", {"group": "other"}) == 0


def test_what_one_replica_cleaned_and_measured_all_show(world: World) -> None:
    world.fill("gone")
    world.fill("kept", expires_in=DAY)
    world.fill("kept", "b", expires_in=DAY)
    timetable(world, world.metrics).look()
    shown = replica(world)
    assert shown["cleanup_due"] == 1
    assert shown["cleanup_oldest_due_age_seconds"] == 0
    for name in ("cleanup_last_run", "cleanup_last_success", "kept_measured"):
        assert shown[f"{name}_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert (shown["kept_jobs"], shown["kept_files"], shown["kept_bytes"]) == (2, 2 * len(FILES), 2 * SIZE)
    assert shown["cleanup_removed_total"] == 0  # what it has done itself


def test_what_could_not_be_removed_is_shown_with_its_age_until_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill("old", expires_in=-5 * DAY, legacy_in=-5 * DAY)
    world.fill("young")

    def fail(prefix: str, last: object = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    with monkeypatch.context() as broken:
        broken.setattr(world.store, "remove", fail)
        world.cleaner.clean(None)
    shown = replica(world)
    assert shown["cleanup_last_success_timestamp_seconds"] == 0
    assert (shown["cleanup_due"], shown["cleanup_failed_total"]) == (2, 0)
    assert world.metrics.registry.get_sample_value("phjob_artifact_cleanup_failed_total") == 2
    age = world.metrics.registry.get_sample_value("phjob_artifact_cleanup_oldest_due_age_seconds")
    assert shown["cleanup_oldest_due_age_seconds"] == pytest.approx(5 * DAY, abs=60)
    assert age == pytest.approx(5 * DAY, abs=60)
    world.cleaner.clean(None)
    assert replica(world)["cleanup_oldest_due_age_seconds"] == 0


def test_a_refused_run_shows_what_is_due(tmp_path: Path) -> None:
    world = directory_world(tmp_path / "phfs", {"PHJOB_CLEANUP_FLOOR": "1", "PHJOB_CLEANUP_MAX_SHARE": "0.1"})
    for name in ("a", "b", "c"):
        world.fill(name)
    with pytest.raises(Refused):
        world.cleaner.clean(None)
    run = read_last_run(world.store)
    assert run is not None
    assert run.due == 3
    assert run.oldest_due == pytest.approx(time.time() - DAY, abs=60)


def test_a_run_over_some_groups_says_nothing_of_all(world: World) -> None:
    world.fill("a")
    world.cleaner.clean(["a"])
    assert read_last_run(world.store) is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"[" * 4000, b"x" * 5000),
        b'{"ended_at": 1, "seconds": "x", "due": 1, "oldest_due": 0}',
        b'{"ended_at": NaN, "seconds": 1, "due": 1, "oldest_due": 0}',
        b'{"measured_at": 1, "groups": {"a": [1]}}',
        b'{"measured_at": 1, "groups": [1]}',
    ],
)
def test_what_cannot_be_read_is_not_shown(world: World, content: bytes) -> None:
    world.store.write(LAST_RUN, content)
    world.store.write(KEPT, content)
    assert read_last_run(world.store) is None
    assert read_kept(world.store) is None


def test_what_was_written_is_read(world: World) -> None:
    run = LastRun(1.5, 2.5, 3, 4.5)
    write_last_run(world.store, run)
    assert read_last_run(world.store) == run


def test_groups_are_shown_by_name_up_to_a_number_the_largest_first(world: World) -> None:
    for group, jobs in (("small", 1), ("large", 3), ("middle", 2)):
        for number in range(jobs):
            world.fill(f"job-{number}", group, expires_in=DAY)
    timetable(world, world.metrics).look()
    shown = replica(world, 2)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in shown.items() if "group_kept_jobs" in name}
    assert by_group == {"large": 3, "middle": 2, "other": 1}
    assert shown["group_kept_byteslarge"] == 3 * SIZE
    assert shown["group_kept_filesother"] == len(FILES)
    assert not [name for name in replica(world) if "group" in name]


def test_a_group_that_is_called_as_the_rest_is_counts_with_the_rest(world: World) -> None:
    world.fill("job-1", "other", expires_in=DAY, legacy_in=DAY)
    world.fill("job-2", "big", expires_in=DAY, legacy_in=DAY, files={"f": b"x" * 1000})
    measure_stored(world.store, world.metrics, world.clock, lambda: True)
    shown = replica(world, 10)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in shown.items() if "group_kept_jobs" in name}
    assert by_group == {"big": 1, "other": 1}


def test_a_job_folder_that_cannot_be_listed_hides_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for job, group in (("job-1", "a"), ("job-2", "b"), ("job-3", "b")):
        world.fill(job, group)
    whole = world.store.list

    def listed(prefix: str, **given: Any) -> Iterator[Item]:
        for item in whole(prefix, **given):
            if "job-3/" in prefix + item.name and item.size is not None:
                raise StoreError("list", prefix + item.name, PermissionError(13, "Permission denied"))
            yield item

    monkeypatch.setattr(world.store, "list", listed)
    kept = measure_kept(world.store, world.clock, lambda: True)
    assert kept
    assert {group: figures[0] for group, figures in kept.groups.items()} == {"a": 1, "b": 1}


def test_where_nothing_is_to_be_cleaned_a_measuring_that_fails_is_tried_again_in_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fail(*_: Any) -> None:
        begun.append(world.ahead)
        raise StoreError("list", "groups/", OSError(5, "Input/output error"))

    monkeypatch.setattr("api.cleanup.shown.measure_kept", fail)
    table = Timetable(world.cleaner, world.store, world.metrics, "", world.clock)
    for minute in range(0, 120, 10):
        world.ahead = minute * 60
        table.look()
    assert begun == [0, 3600]


def test_what_lies_beside_job_folders_counts_for_nothing(world: World) -> None:
    world.fill("job", expires_in=DAY)
    for key in ("groups/a/data.bin", "groups/a/jobArtifacts/loose", "groups/Upper_Case/jobArtifacts/job/x", "groups/f"):
        world.store.write(key, b"xxx")
    kept = measure_kept(world.store, world.clock, lambda: True)
    assert kept is not None
    assert kept.groups == {"a": (1, len(FILES), SIZE)}


def test_a_walk_that_is_given_up_leaves_what_was_measured_before(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.fill("job", expires_in=DAY)
    measure_stored(world.store, world.metrics, world.clock, lambda: True)
    before = read_kept(world.store)
    world.fill("job-2", expires_in=DAY)
    measure_stored(world.store, world.metrics, world.clock, lambda: False)
    assert read_kept(world.store) == before == world.metrics.kept.shown
    assert any("what is kept was not measured" in line for line in lines_of(caplog.records))


def test_runs_that_fail_again_and_again_do_not_measure_each_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store.write("phjob-artifacts/pins/a/job", b"no record")
    world.fill("job")
    table, measured = timetable(world, world.metrics), set()
    for _ in range(5):
        table.look()
        content = json.loads(world.store.read(KEPT, 10_000))
        measured.add(content["measured_at"])
        world.ahead += RETRY_SECONDS + 1
    assert len(measured) == 1
    world.ahead += DAY
    monkeypatch.setattr(world.store, "stat", lambda key: (_ for _ in ()).throw(StoreError("stat", key, OSError(5, ""))))
    table.look()  # a run that cannot even begin: all the more it is asked how full the store is
    assert json.loads(world.store.read(KEPT, 10_000))["measured_at"] > max(measured)


def test_how_full_the_store_is_is_shown_as_its_file_system_tells(world: World) -> None:
    shown = replica(world)
    assert shown["store_size_bytes"] >= shown["store_available_bytes"] > 0

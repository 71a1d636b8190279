"""What metrics show of cleanups and of the store is in the store: the same on every replica, and after a restart."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.cleanup.scheduler import RETRY_SECONDS, CleanupScheduler
from api.cleanup.state import LAST_RUN, LastRun, read_last_run, write_last_run
from api.cleanup.store_metrics import refresh_metrics, update_usage
from api.cleanup.usage import USAGE, measure_usage, read_usage
from api.errors import CleanupRefused
from api.metrics import ApiMetrics
from api.store.store import Item
from artifacts.errors import StoreError
from tests.api.cleanup.environment import DAY, FILES, StoreEnvironment, directory_environment
from tests.lines import lines_of

SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def timetable(env: StoreEnvironment, metrics: ApiMetrics) -> CleanupScheduler:
    return CleanupScheduler(env.cleaner, env.store, metrics, "03:00", env.clock)


def replica(env: StoreEnvironment, groups: int = 0) -> dict[str, float]:
    """What another replica shows, once it has looked into the store."""
    metrics = ApiMetrics(CollectorRegistry(), groups, env.clock)
    refresh_metrics(env.store, metrics)
    return {
        sample.name.removeprefix("phjob_artifact_") + "".join(sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


def test_a_fresh_replica_shows_zeros(env: StoreEnvironment) -> None:
    metrics = ApiMetrics(CollectorRegistry(), 3)
    for name in ("last_success_timestamp_seconds", "last_run_timestamp_seconds", "due", "oldest_due_age_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_cleanup_{name}") == 0
    for name in ("kept_jobs", "kept_files", "kept_bytes", "kept_measured_timestamp_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_{name}") == 0
    assert metrics.registry.get_sample_value("phjob_artifact_group_kept_bytes", {"group": "other"}) == 0


def test_what_one_replica_cleaned_and_measured_all_show(env: StoreEnvironment) -> None:
    env.fill("gone")
    env.fill("kept", expires_in=DAY)
    env.fill("kept", "b", expires_in=DAY)
    timetable(env, env.metrics).look()
    shown = replica(env)
    assert shown["cleanup_due"] == 1
    assert shown["cleanup_oldest_due_age_seconds"] == 0
    for name in ("cleanup_last_run", "cleanup_last_success", "kept_measured"):
        assert shown[f"{name}_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert (shown["kept_jobs"], shown["kept_files"], shown["kept_bytes"]) == (2, 2 * len(FILES), 2 * SIZE)
    assert shown["cleanup_removed_total"] == 0  # what it has done itself


def test_what_could_not_be_removed_is_shown_with_its_age_until_it_is(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.fill("old", expires_in=-5 * DAY, legacy_in=-5 * DAY)
    env.fill("young")

    def fail(prefix: str, last: object = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    with monkeypatch.context() as broken:
        broken.setattr(env.store, "remove", fail)
        env.cleaner.clean(None)
    shown = replica(env)
    assert shown["cleanup_last_success_timestamp_seconds"] == 0
    assert (shown["cleanup_due"], shown["cleanup_failed_total"]) == (2, 0)
    assert env.metrics.registry.get_sample_value("phjob_artifact_cleanup_failed_total") == 2
    age = env.metrics.registry.get_sample_value("phjob_artifact_cleanup_oldest_due_age_seconds")
    assert shown["cleanup_oldest_due_age_seconds"] == pytest.approx(5 * DAY, abs=60)
    assert age == pytest.approx(5 * DAY, abs=60)
    env.cleaner.clean(None)
    assert replica(env)["cleanup_oldest_due_age_seconds"] == 0


def test_a_refused_run_shows_what_is_due(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_FLOOR": "1", "PHJOB_CLEANUP_MAX_SHARE": "0.1"})
    for name in ("a", "b", "c"):
        env.fill(name)
    with pytest.raises(CleanupRefused):
        env.cleaner.clean(None)
    run = read_last_run(env.store)
    assert run is not None
    assert run.due == 3
    assert run.oldest_due == pytest.approx(time.time() - DAY, abs=60)


def test_a_run_over_some_groups_says_nothing_of_all(env: StoreEnvironment) -> None:
    env.fill("a")
    env.cleaner.clean(["a"])
    assert read_last_run(env.store) is None


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
def test_what_cannot_be_read_is_not_shown(env: StoreEnvironment, content: bytes) -> None:
    env.store.write(LAST_RUN, content)
    env.store.write(USAGE, content)
    assert read_last_run(env.store) is None
    assert read_usage(env.store) is None


def test_what_was_written_is_read(env: StoreEnvironment) -> None:
    run = LastRun(1.5, 2.5, 3, 4.5)
    write_last_run(env.store, run)
    assert read_last_run(env.store) == run


def test_groups_are_shown_by_name_up_to_a_number_the_largest_first(env: StoreEnvironment) -> None:
    for group, jobs in (("small", 1), ("large", 3), ("middle", 2)):
        for number in range(jobs):
            env.fill(f"job-{number}", group, expires_in=DAY)
    timetable(env, env.metrics).look()
    shown = replica(env, 2)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in shown.items() if "group_kept_jobs" in name}
    assert by_group == {"large": 3, "middle": 2, "other": 1}
    assert shown["group_kept_byteslarge"] == 3 * SIZE
    assert shown["group_kept_filesother"] == len(FILES)
    assert not [name for name in replica(env) if "group" in name]


def test_a_group_that_is_called_as_the_rest_is_counts_with_the_rest(env: StoreEnvironment) -> None:
    env.fill("job-1", "other", expires_in=DAY, legacy_in=DAY)
    env.fill("job-2", "big", expires_in=DAY, legacy_in=DAY, files={"f": b"x" * 1000})
    update_usage(env.store, env.metrics, env.clock, lambda: True)
    shown = replica(env, 10)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in shown.items() if "group_kept_jobs" in name}
    assert by_group == {"big": 1, "other": 1}


def test_a_job_folder_that_cannot_be_listed_hides_no_other(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job, group in (("job-1", "a"), ("job-2", "b"), ("job-3", "b")):
        env.fill(job, group)
    whole = env.store.list

    def listed(prefix: str, **given: Any) -> Iterator[Item]:
        for item in whole(prefix, **given):
            if "job-3/" in prefix + item.name and item.size is not None:
                raise StoreError("list", prefix + item.name, PermissionError(13, "Permission denied"))
            yield item

    monkeypatch.setattr(env.store, "list", listed)
    kept = measure_usage(env.store, env.clock, lambda: True)
    assert kept
    assert {group: figures[0] for group, figures in kept.groups.items()} == {"a": 1, "b": 1}


def test_where_nothing_is_to_be_cleaned_a_measuring_that_fails_is_tried_again_in_an_hour(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fail(*_: Any) -> None:
        begun.append(env.ahead)
        raise StoreError("list", "groups/", OSError(5, "Input/output error"))

    monkeypatch.setattr("api.cleanup.store_metrics.measure_usage", fail)
    table = CleanupScheduler(env.cleaner, env.store, env.metrics, "", env.clock)
    for minute in range(0, 120, 10):
        env.ahead = minute * 60
        table.look()
    assert begun == [0, 3600]


def test_what_lies_beside_job_folders_counts_for_nothing(env: StoreEnvironment) -> None:
    env.fill("job", expires_in=DAY)
    for key in ("groups/a/data.bin", "groups/a/jobArtifacts/loose", "groups/Upper_Case/jobArtifacts/job/x", "groups/f"):
        env.store.write(key, b"xxx")
    kept = measure_usage(env.store, env.clock, lambda: True)
    assert kept is not None
    assert kept.groups == {"a": (1, len(FILES), SIZE)}


def test_a_walk_that_is_given_up_leaves_what_was_measured_before(
    env: StoreEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    env.fill("job", expires_in=DAY)
    update_usage(env.store, env.metrics, env.clock, lambda: True)
    before = read_usage(env.store)
    env.fill("job-2", expires_in=DAY)
    update_usage(env.store, env.metrics, env.clock, lambda: False)
    assert read_usage(env.store) == before == env.metrics.kept.shown
    assert any("what is kept was not measured" in line for line in lines_of(caplog.records))


def test_runs_that_fail_again_and_again_do_not_measure_each_time(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.store.write("phjob-artifacts/pins/a/job", b"no record")
    env.fill("job")
    table, measured = timetable(env, env.metrics), set()
    for _ in range(5):
        table.look()
        content = json.loads(env.store.read(USAGE, 10_000))
        measured.add(content["measured_at"])
        env.ahead += RETRY_SECONDS + 1
    assert len(measured) == 1
    env.ahead += DAY
    monkeypatch.setattr(env.store, "stat", lambda key: (_ for _ in ()).throw(StoreError("stat", key, OSError(5, ""))))
    table.look()  # a run that cannot even begin: all the more it is asked how full the store is
    assert json.loads(env.store.read(USAGE, 10_000))["measured_at"] > max(measured)


def test_how_full_the_store_is_is_shown_as_its_file_system_tells(env: StoreEnvironment) -> None:
    shown = replica(env)
    assert shown["store_size_bytes"] >= shown["store_available_bytes"] > 0

"""The metrics of cleanups and of the store come from the store: equal on every replica and after a restart."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.cleanup.scheduler import RETRY_SECONDS, CleanupScheduler
from api.cleanup.state import LAST_RUN, USAGE, LastRun, read_last_run, read_usage, write_last_run
from api.cleanup.store_metrics import refresh_metrics, update_usage
from api.cleanup.usage import measure_usage
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


def make_scheduler(env: StoreEnvironment, metrics: ApiMetrics) -> CleanupScheduler:
    return CleanupScheduler(env.cleaner, env.store, metrics, "03:00", env.clock)


def replica_metrics(env: StoreEnvironment, groups: int = 0) -> dict[str, float]:
    """Return the metrics of another replica after it has read the store."""
    metrics = ApiMetrics(CollectorRegistry(), groups, env.clock)
    refresh_metrics(env.store, metrics)
    return {
        sample.name.removeprefix("phjob_artifact_") + "".join(sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


def test_a_new_replica_exposes_zeros(env: StoreEnvironment) -> None:
    metrics = ApiMetrics(CollectorRegistry(), 3)
    for name in ("last_success_timestamp_seconds", "last_run_timestamp_seconds", "due", "oldest_due_age_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_cleanup_{name}") == 0
    for name in ("kept_jobs", "kept_files", "kept_bytes", "kept_measured_timestamp_seconds"):
        assert metrics.registry.get_sample_value(f"phjob_artifact_{name}") == 0
    assert metrics.registry.get_sample_value("phjob_artifact_group_kept_bytes", {"group": "other"}) == 0


def test_all_replicas_expose_the_result_of_one(env: StoreEnvironment) -> None:
    env.add_folder("gone")
    env.add_folder("kept", expires_in=DAY)
    env.add_folder("kept", "b", expires_in=DAY)
    make_scheduler(env, env.metrics).check()
    samples = replica_metrics(env)
    assert samples["cleanup_due"] == 1
    assert samples["cleanup_oldest_due_age_seconds"] == 0
    for name in ("cleanup_last_run", "cleanup_last_success", "kept_measured"):
        assert samples[f"{name}_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert (samples["kept_jobs"], samples["kept_files"], samples["kept_bytes"]) == (2, 2 * len(FILES), 2 * SIZE)
    assert samples["cleanup_removed_total"] == 0  # counters are per replica


def test_the_age_of_the_oldest_due_folder_is_exposed_until_it_is_removed(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.add_folder("old", expires_in=-5 * DAY, legacy_in=-5 * DAY)
    env.add_folder("young")

    def fail(prefix: str, last: object = ()) -> None:
        raise StoreError("remove", prefix, OSError(5, "Input/output error"))

    with monkeypatch.context() as broken:
        broken.setattr(env.store, "remove", fail)
        env.cleaner.clean(None)
    samples = replica_metrics(env)
    assert samples["cleanup_last_success_timestamp_seconds"] == 0
    assert (samples["cleanup_due"], samples["cleanup_failed_total"]) == (2, 0)
    assert env.metrics.registry.get_sample_value("phjob_artifact_cleanup_failed_total") == 2
    age = env.metrics.registry.get_sample_value("phjob_artifact_cleanup_oldest_due_age_seconds")
    assert samples["cleanup_oldest_due_age_seconds"] == pytest.approx(5 * DAY, abs=60)
    assert age == pytest.approx(5 * DAY, abs=60)
    env.cleaner.clean(None)
    assert replica_metrics(env)["cleanup_oldest_due_age_seconds"] == 0


def test_a_refused_run_records_the_due_folders(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_FLOOR": "1", "PHJOB_CLEANUP_MAX_SHARE": "0.1"})
    for name in ("a", "b", "c"):
        env.add_folder(name)
    with pytest.raises(CleanupRefused):
        env.cleaner.clean(None)
    run = read_last_run(env.store)
    assert run is not None
    assert run.due == 3
    assert run.oldest_due == pytest.approx(time.time() - DAY, abs=60)


def test_a_run_over_some_groups_is_not_recorded(env: StoreEnvironment) -> None:
    env.add_folder("a")
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
def test_unreadable_state_is_ignored(env: StoreEnvironment, content: bytes) -> None:
    env.store.write(LAST_RUN, content)
    env.store.write(USAGE, content)
    assert read_last_run(env.store) is None
    assert read_usage(env.store) is None


def test_a_written_run_is_read_back(env: StoreEnvironment) -> None:
    run = LastRun(1.5, 2.5, 3, 4.5)
    write_last_run(env.store, run)
    assert read_last_run(env.store) == run


def test_the_largest_groups_are_labelled(env: StoreEnvironment) -> None:
    for group, jobs in (("small", 1), ("large", 3), ("middle", 2)):
        for number in range(jobs):
            env.add_folder(f"job-{number}", group, expires_in=DAY)
    make_scheduler(env, env.metrics).check()
    samples = replica_metrics(env, 2)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in samples.items() if "group_kept_jobs" in name}
    assert by_group == {"large": 3, "middle": 2, "other": 1}
    assert samples["group_kept_byteslarge"] == 3 * SIZE
    assert samples["group_kept_filesother"] == len(FILES)
    assert not [name for name in replica_metrics(env) if "group" in name]


def test_a_group_named_other_is_counted_as_other(env: StoreEnvironment) -> None:
    env.add_folder("job-1", "other", expires_in=DAY, legacy_in=DAY)
    env.add_folder("job-2", "big", expires_in=DAY, legacy_in=DAY, files={"f": b"x" * 1000})
    update_usage(env.store, env.metrics, env.clock, lambda: True)
    samples = replica_metrics(env, 10)
    by_group = {name.removeprefix("group_kept_jobs"): n for name, n in samples.items() if "group_kept_jobs" in name}
    assert by_group == {"big": 1, "other": 1}


def test_an_unreadable_job_folder_does_not_hide_the_others(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job, group in (("job-1", "a"), ("job-2", "b"), ("job-3", "b")):
        env.add_folder(job, group)
    list_all = env.store.list

    def failing_list(prefix: str, **options: Any) -> Iterator[Item]:
        for item in list_all(prefix, **options):
            if "job-3/" in prefix + item.name and item.size is not None:
                raise StoreError("list", prefix + item.name, PermissionError(13, "Permission denied"))
            yield item

    monkeypatch.setattr(env.store, "list", failing_list)
    usage = measure_usage(env.store, env.clock, lambda: True)
    assert usage
    assert {group: counts[0] for group, counts in usage.groups.items()} == {"a": 1, "b": 1}


def test_a_failed_measurement_is_retried_hourly_if_the_cleanup_is_disabled(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def fail(*_: Any) -> None:
        started.append(env.clock_offset)
        raise StoreError("list", "groups/", OSError(5, "Input/output error"))

    monkeypatch.setattr("api.cleanup.store_metrics.measure_usage", fail)
    scheduler = CleanupScheduler(env.cleaner, env.store, env.metrics, "", env.clock)
    for minute in range(0, 120, 10):
        env.clock_offset = minute * 60
        scheduler.check()
    assert started == [0, 3600]


def test_files_outside_job_folders_are_not_counted(env: StoreEnvironment) -> None:
    env.add_folder("job", expires_in=DAY)
    for key in ("groups/a/data.bin", "groups/a/jobArtifacts/loose", "groups/Upper_Case/jobArtifacts/job/x", "groups/f"):
        env.store.write(key, b"xxx")
    usage = measure_usage(env.store, env.clock, lambda: True)
    assert usage is not None
    assert usage.groups == {"a": (1, len(FILES), SIZE)}


def test_an_aborted_measurement_keeps_the_previous_one(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    env.add_folder("job", expires_in=DAY)
    update_usage(env.store, env.metrics, env.clock, lambda: True)
    before = read_usage(env.store)
    env.add_folder("job-2", expires_in=DAY)
    update_usage(env.store, env.metrics, env.clock, lambda: False)
    assert read_usage(env.store) == before == env.metrics.usage.snapshot
    assert any("usage not measured" in line for line in lines_of(caplog.records))


def test_repeated_failed_runs_do_not_measure_each_time(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    env.store.write("phjob-artifacts/pins/a/job", b"no record")
    env.add_folder("job")
    scheduler, measured = make_scheduler(env, env.metrics), set()
    for _ in range(5):
        scheduler.check()
        content = json.loads(env.store.read(USAGE, 10_000))
        measured.add(content["measured_at"])
        env.clock_offset += RETRY_SECONDS + 1
    assert len(measured) == 1
    env.clock_offset += DAY
    monkeypatch.setattr(env.store, "stat", lambda key: (_ for _ in ()).throw(StoreError("stat", key, OSError(5, ""))))
    scheduler.check()  # the usage is measured even if the run cannot start
    assert json.loads(env.store.read(USAGE, 10_000))["measured_at"] > max(measured)


def test_the_capacity_of_the_file_system_is_exposed(env: StoreEnvironment) -> None:
    samples = replica_metrics(env)
    assert samples["store_size_bytes"] >= samples["store_available_bytes"] > 0

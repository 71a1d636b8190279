"""The cleanup over a real directory: which folders are removed, in which order, and what is logged."""

import logging
import os
import time
from pathlib import Path

import pytest

from api.auth.caller import Caller
from api.cleanup.state import read_last_run
from api.errors import CleanupRefused, ConflictError, NotAuthorized
from api.retention.record import FOREVER, extension_key, first_seen_key, pin_key
from api.store.store import StoreBlocked
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.environment import ALICE, DAY, FILES, StoreEnvironment, directory_environment
from tests.lines import lines_of


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def test_due_folders_are_removed_completely_and_others_stay(env: StoreEnvironment) -> None:
    env.add_folder("job-1")
    env.add_folder("job-10", expires_in=DAY, legacy_in=DAY)
    env.add_folder("job-1", group="b", legacy_in=DAY)
    before = [key for key in env.list_keys() if "/a/jobArtifacts/job-1/" not in key]
    result = env.cleaner.clean(None)
    assert (result.removed, result.failed, result.plan.examined_count) == (1, 0, 3)
    assert env.list_keys() == before


def test_running_collecting_and_pinned_jobs_are_not_removed(env: StoreEnvironment) -> None:
    for job in ("running", "collecting", "pinned", "over"):
        env.add_phjob(job)
        env.add_folder(job, expires_in=DAY, legacy_in=DAY)
    env.retention.pin(env.folder("pinned"), "", ALICE)
    for job in ("running", "collecting", "pinned", "over"):
        env.add_folder(job)
    env.add_phjob("running", phase="Running", ended_ago=0)
    env.jobs.collecting.add("collecting")
    assert env.cleaner.clean(None).removed == 1
    assert env.remaining_jobs() == ["a/collecting", "a/pinned", "a/running"]


def test_a_phjob_of_another_group_does_not_keep_a_folder_of_its_name(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", group="b", phase="Running", ended_ago=0)
    env.add_folder("job-1")
    env.add_folder("job-1", group="b")
    env.cleaner.clean(None)
    assert env.remaining_jobs() == ["b/job-1"]


def test_only_the_given_groups_are_cleaned(env: StoreEnvironment) -> None:
    for group in ("a", "b-c", "d"):
        env.add_folder("job-1", group=group)
    assert env.cleaner.clean(["A", "b_c"]).removed == 2
    assert env.remaining_jobs() == ["d/job-1"]
    assert env.metrics.registry.get_sample_value("phjob_artifact_cleanup_last_success_timestamp_seconds") == 0


def test_nothing_outside_job_folders_is_touched(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    others = [
        "groups/a/jobArtifacts/loose-file",
        "groups/a/jobArtifacts/Not A Job/.metadata/expiredAt",
        "groups/a/jobArtifacts/.hidden/.metadata/expiredAt",
        "groups/a/job-1/.metadata/expiredAt",
        "groups/a/.metadata/expiredAt",
        "groups/Upper_Case/jobArtifacts/job-1/.metadata/expiredAt",
        "elsewhere/a/jobArtifacts/job-1/.metadata/expiredAt",
        "phjob-artifacts/x",
    ]
    for key in others:
        env.store.write(key, b"1000000000\n")
    env.add_folder("job-1")
    for _ in range(2):
        env.cleaner.clean(None)
    assert [key for key in others if key not in env.list_keys("groups/")] == others[-2:]
    assert [line for line in lines_of(caplog.records) if "folder ignored" in line] == [
        'folder ignored folder=groups/Upper_Case reason="its name is not a valid group or job name"',
        'folder ignored folder=groups/a/jobArtifacts/.hidden reason="its name is not a valid group or job name"',
        'folder ignored folder="groups/a/jobArtifacts/Not A Job" reason="its name is not a valid group or job name"',
    ]


def test_links_in_a_job_folder_are_unlinked_and_their_targets_untouched(env: StoreEnvironment, tmp_path: Path) -> None:
    env.add_folder("job-1")
    env.add_folder("job-2", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "phfs/groups/a/jobArtifacts/job-1"
    (folder / "to-folder").symlink_to(outside)
    (folder / "to-sibling").symlink_to("../job-2")
    (folder / "sub/to-file").symlink_to(outside / "precious")
    (folder / "nowhere").symlink_to("nowhere")
    kept = [key for key in env.list_keys() if "/job-2/" in key]
    assert env.cleaner.clean(None).removed == 1
    assert env.list_keys() == kept
    assert (outside / "precious").read_text() == "x"
    assert not folder.exists()


def test_a_link_in_place_of_a_job_folder_is_not_touched(env: StoreEnvironment, tmp_path: Path) -> None:
    env.add_folder("job-1", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    (outside / ".metadata").mkdir(parents=True)
    (outside / ".metadata/expiredAt").write_text("1000000000\n")
    jobs = tmp_path / "phfs/groups/a/jobArtifacts"
    (jobs / "job-2").symlink_to(outside)
    (tmp_path / "phfs/groups/b").mkdir()
    (tmp_path / "phfs/groups/b/jobArtifacts").symlink_to(jobs)
    (tmp_path / "phfs/groups/c").symlink_to("a")
    result = env.cleaner.clean(None, force=True)
    assert (result.removed, result.plan.examined_count) == (0, 1)
    assert (outside / ".metadata/expiredAt").exists()


def test_retention_without_expiry_files_starts_when_the_folder_is_first_seen(
    env: StoreEnvironment, tmp_path: Path
) -> None:
    env.add_folder("silent", expires_in=None, legacy_in=None)
    old = time.time() - 100 * DAY
    for key in env.list_keys():
        os.utime(tmp_path / "phfs" / key, (old, old))
    assert env.cleaner.plan(None).due == []
    assert env.list_keys("phjob-artifacts/first-seen/") == []
    env.cleaner.clean(None)
    assert env.list_keys("phjob-artifacts/first-seen/") == ["phjob-artifacts/first-seen/a/silent"]
    env.clock_offset = 6 * DAY
    assert env.cleaner.clean(None, force=True).removed == 0
    env.clock_offset = 8 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert env.list_keys("phjob-artifacts/first-seen/") == []


def test_an_empty_job_folder_is_removed_after_the_retention(env: StoreEnvironment, tmp_path: Path) -> None:
    (tmp_path / "phfs/groups/a/jobArtifacts/empty").mkdir(parents=True)
    env.cleaner.clean(None)
    env.clock_offset = 8 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert not (tmp_path / "phfs/groups/a/jobArtifacts/empty").exists()


def test_an_expiry_file_cannot_exceed_the_maximum(env: StoreEnvironment) -> None:
    for job in ("with-phjob", "without"):
        env.add_folder(job, expires_in=None)
        env.store.write(f"groups/a/jobArtifacts/{job}/{EXPIRED_AT}", b"9999999999999\n")
    env.add_phjob("with-phjob")
    env.cleaner.clean(None)
    env.clock_offset = 363 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert env.remaining_jobs() == ["a/without"]
    env.clock_offset = 366 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1


def test_a_first_seen_time_in_the_future_is_replaced(env: StoreEnvironment) -> None:
    env.add_folder("silent", expires_in=None, legacy_in=None)
    env.store.write(first_seen_key("a", "silent"), b"%d\n" % (time.time() + 999 * DAY))
    env.cleaner.clean(None)
    assert abs(int(env.store.read(first_seen_key("a", "silent"), 100)) - time.time()) < 60


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_difference_refuses_the_run(env: StoreEnvironment, seconds: float) -> None:
    env.add_folder("job-1")
    env.clock_offset = seconds
    with pytest.raises(CleanupRefused, match="clock"):
        env.cleaner.clean(None)
    assert env.remaining_jobs() == ["a/job-1"]
    assert env.cleaner.clean(None, force=True).removed == 1


def test_a_run_that_would_remove_too_much_is_refused_unless_forced(tmp_path: Path) -> None:
    settings = {"PHJOB_CLEANUP_FLOOR": "2", "PHJOB_CLEANUP_MAX_SHARE": "0.5"}
    env = directory_environment(tmp_path / "phfs", settings)
    for number in range(3):
        env.add_folder(f"job-{number}")
        env.add_folder(f"kept-{number}", expires_in=DAY)
    assert env.cleaner.plan(None).refusal == ""
    env.add_folder("job-3")
    assert "4 of 7 jobs" in env.cleaner.plan(None).refusal
    with pytest.raises(CleanupRefused, match="4 of 7 jobs"):
        env.cleaner.clean(None)
    assert CleanupRefused.code == "REFUSED_BY_GUARD"
    assert len(env.remaining_jobs()) == 7
    assert env.cleaner.clean(None, force=True).removed == 4
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_runs_total", {"result": "refused"}) == 1
    assert value("phjob_artifact_cleanup_runs_total", {"result": "success"}) == 1


def test_folders_whose_removal_has_begun_do_not_make_the_guard_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_FLOOR": "2", "PHJOB_CLEANUP_MAX_SHARE": "0"})
    for number in range(3):
        env.add_folder(f"closed-{number}")
    remove = env.store.remove

    def fail_if_closed(prefix: str, last: tuple[str, ...] = ()) -> object:
        if "closed" in prefix:
            raise StoreBlocked("remove", prefix, PermissionError(13, "Permission denied"))
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", fail_if_closed)
    assert env.cleaner.clean(None, force=True).blocked.count == 3
    for number in range(2):
        env.add_folder(f"due-{number}")
    result = env.cleaner.clean(None)
    assert (result.removed, result.failed, result.blocked.count) == (2, 0, 3)
    env.add_folder("due-2")
    env.add_folder("due-3")
    env.add_folder("due-4")
    with pytest.raises(CleanupRefused, match="3 of 6 jobs"):
        env.cleaner.clean(None)


def test_runs_over_some_groups_are_not_counted(env: StoreEnvironment) -> None:
    env.clock_offset = 3600
    with pytest.raises(CleanupRefused):
        env.cleaner.clean(["a"])
    env.clock_offset = 0
    env.cleaner.clean(["a"])
    value = env.metrics.registry.get_sample_value
    for result in ("success", "failure", "refused"):
        assert value("phjob_artifact_cleanup_runs_total", {"result": result}) == 0


def test_each_removal_is_logged_and_counted(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    env.add_folder("job-1")
    env.cleaner.clean(None)
    size = sum(map(len, FILES.values()))
    lines = lines_of(caplog.records)
    assert f'artifacts removed group=a job=job-1 files=3 bytes={size} reason="the time in its expiredAt"' in lines
    assert f"cleanup finished examined=1 due=1 removed=1 files=3 bytes={size} failed=0 blocked=0" in lines
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_removed_total") == 1
    assert value("phjob_artifact_cleanup_due") == 1
    assert value("phjob_artifact_cleanup_freed_bytes_total") == size
    assert abs((value("phjob_artifact_cleanup_last_success_timestamp_seconds") or 0) - time.time()) < 60


def test_the_plan_has_reasons_and_writes_nothing(env: StoreEnvironment, tmp_path: Path) -> None:
    env.add_folder("due")
    env.add_folder("kept", expires_in=DAY)
    before = sorted(tmp_path.rglob("*"))
    plan = env.cleaner.plan(None)
    assert [(candidate.job, candidate.is_due, candidate.reason) for candidate in (*plan.due, *plan.kept)] == [
        ("due", True, "the time in its expiredAt"),
        ("kept", False, "the time in its expiredAt"),
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pin_between_plan_and_removal_keeps_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for job in ("first", "second"):
        env.add_phjob(job)
        env.add_folder(job)
    remove = env.store.remove

    def pin_the_other(prefix: str, last: tuple[str, ...] = ()) -> object:
        other = "second" if "first" in prefix else "first"
        env.store.write(pin_key("a", other), b'{"version": 1, "by": "bob"}')
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", pin_the_other)
    result = env.cleaner.clean(None)
    assert (result.removed, result.failed, len(result.plan.due)) == (1, 0, 2)
    assert env.remaining_jobs() == ["a/second"]


def test_an_unreadable_record_keeps_the_folder_and_counts_as_a_failure(
    env: StoreEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    env.add_folder("job-1")
    env.store.write(pin_key("a", "job-1"), b"\x00")
    result = env.cleaner.clean(None)
    assert (result.removed, result.failed) == (0, 1)
    assert 'retention record unreadable group=a job=job-1 reason="it is not valid JSON"' in lines_of(caplog.records)
    with pytest.raises(ConflictError):
        env.cleaner.delete(env.folder("job-1"), ALICE)


def test_an_unexpected_error_in_one_folder_does_not_stop_the_others(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in ("job-1", "job-2", "job-3"):
        env.add_folder(job)
    read, remove = env.store.read, env.store.remove

    def fail_to_read(key: str, max_bytes: int) -> bytes:
        return b"" * (1 // 0) if "/job-1/" in key else read(key, max_bytes)

    def fail_to_remove(prefix: str, last: tuple[str, ...] = ()) -> object:
        return 1 // 0 if "/job-2/" in prefix else remove(prefix, last)

    monkeypatch.setattr(env.store, "read", fail_to_read)
    monkeypatch.setattr(env.store, "remove", fail_to_remove)
    result = env.cleaner.clean(None)
    assert (result.removed, result.failed) == (1, 2)
    assert env.remaining_jobs() == ["a/job-1", "a/job-2"]
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_failed_total") == 2
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 1
    assert env.list_keys("phjob-artifacts/cleanup/") == [
        "phjob-artifacts/cleanup/clock",
        "phjob-artifacts/cleanup/last-run",
        "phjob-artifacts/cleanup/lock",
    ]
    assert "ZeroDivisionError" in caplog.text


def test_a_file_in_place_of_a_groups_job_folders_is_ignored(env: StoreEnvironment, tmp_path: Path) -> None:
    env.add_folder("job-1")
    env.store.write("groups/b/jobArtifacts", b"a file where a folder should be")
    result = env.cleaner.clean(None)
    assert result.removed == 1
    assert (tmp_path / "phfs/groups/b/jobArtifacts").is_file()


def test_expiry_files_and_annotations_are_repaired_after_a_crash(env: StoreEnvironment) -> None:
    env.add_phjob("pinned")
    env.add_phjob("extended")
    until = int(time.time()) + 5 * DAY
    env.add_folder("pinned")
    env.store.write(pin_key("a", "pinned"), b'{"version": 1, "by": "bob"}')
    env.add_folder("extended", legacy_in=None)
    env.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % until)
    env.cleaner.clean(None)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        assert env.store.read(f"groups/a/jobArtifacts/pinned/{name}", 99) == b"%d\n" % FOREVER
        assert env.store.read(f"groups/a/jobArtifacts/extended/{name}", 99) == b"%d\n" % until
    assert env.jobs.annotations == {"pinned": FOREVER, "extended": until}


def test_orphaned_records_are_removed_unless_a_decision_is_valid(env: StoreEnvironment) -> None:
    past, future = time.time() - DAY, time.time() + DAY
    env.store.write(extension_key("a", "over"), b'{"version": 1, "until": %d}' % past)
    env.store.write(first_seen_key("a", "over"), b"%d\n" % past)
    env.store.write(first_seen_key("gone-group", "job-1"), b"%d\n" % past)
    env.store.write(pin_key("a", "pinned"), b'{"version": 1, "at": %d}' % past)
    env.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % future)
    env.store.write(extension_key("a", "with-phjob"), b'{"version": 1, "until": %d}' % past)
    env.store.write(pin_key("a", "unreadable"), b"")
    env.add_phjob("with-phjob")
    env.add_folder("other", expires_in=DAY)
    env.cleaner.clean(None)
    remaining = [key.removeprefix("phjob-artifacts/") for key in env.list_keys("phjob-artifacts/") if "/a/" in key]
    assert remaining == ["extensions/a/extended", "extensions/a/with-phjob", "pins/a/pinned", "pins/a/unreadable"]
    assert env.list_keys("phjob-artifacts/first-seen/") == []


def test_an_orphaned_pin_is_kept_for_the_maximum_retention(
    env: StoreEnvironment,
) -> None:
    env.store.write(pin_key("a", "job-1"), b'{"version": 1, "at": %d}' % time.time())
    env.add_folder("other", expires_in=DAY)
    env.clock_offset = 364 * DAY
    env.cleaner.clean(None, force=True)
    assert env.list_keys("phjob-artifacts/pins/") == ["phjob-artifacts/pins/a/job-1"]
    env.clock_offset = 366 * DAY
    env.add_folder("job-1")
    env.cleaner.clean(None, force=True)
    assert env.remaining_jobs() == ["a/job-1"]
    env.store.remove("groups/a/jobArtifacts/job-1/")
    env.cleaner.clean(None, force=True)
    assert env.list_keys("phjob-artifacts/pins/") == []


def test_deleting_a_running_job_without_a_folder_raises_conflict(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    with pytest.raises(ConflictError, match="still running"):
        env.cleaner.delete(env.folder("job-1"), ALICE)


def test_delete_waits_for_the_pod_of_a_phjob_that_is_gone(env: StoreEnvironment) -> None:
    env.add_folder("job-1")
    env.jobs.collecting.add("job-1")
    with pytest.raises(ConflictError, match="still running"):
        env.cleaner.delete(env.folder("job-1"), ALICE)
    env.jobs.collecting.clear()
    env.cleaner.delete(env.folder("job-1"), ALICE)
    assert env.remaining_jobs() == []


def test_an_unreadable_orphaned_record_does_not_stop_the_run(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env.store.write(pin_key("a", "job-gone"), b"x")
    env.add_folder("job-1")
    read = env.store.read

    def fail(key: str, max_bytes: int) -> bytes:
        if "job-gone" in key:
            raise StoreError("read", key, PermissionError(13, "Permission denied"))
        return read(key, max_bytes)

    monkeypatch.setattr(env.store, "read", fail)
    assert env.cleaner.clean(None, force=True).removed == 1
    assert read_last_run(env.store) is not None
    assert "orphaned records not removed group=a job=job-gone" in caplog.text


def test_delete_removes_the_folder_now_and_logs_the_user(
    env: StoreEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    env.add_phjob("job-1")
    folder = env.add_folder("job-1", expires_in=DAY)
    env.retention.extend(folder, int(time.time()) + 9 * DAY, ALICE)
    env.add_folder("job-10", expires_in=DAY)
    removed = env.cleaner.delete(folder, ALICE)
    assert removed.files == 3
    assert env.remaining_jobs() == ["a/job-10"]
    assert env.list_keys("phjob-artifacts/") == []
    assert f"artifacts deleted group=a job=job-1 files=3 bytes={removed.bytes} user=alice" in caplog.text


def test_delete_is_refused_if_pinned_collecting_or_unauthorized(env: StoreEnvironment) -> None:
    env.add_phjob("job-1")
    folder = env.add_folder("job-1", expires_in=DAY)
    env.jobs.collecting.add("job-1")
    with pytest.raises(ConflictError, match="still running"):
        env.cleaner.delete(folder, ALICE)
    env.jobs.collecting.clear()
    with pytest.raises(NotAuthorized):
        env.cleaner.delete(folder, Caller("2", "service", is_service=True))
    env.retention.pin(folder, "", ALICE)
    with pytest.raises(ConflictError, match="pinned by alice"):
        env.cleaner.delete(folder, ALICE)
    assert env.cleaner.delete(env.folder("job-2"), ALICE) == (0, 0)
    assert env.remaining_jobs() == ["a/job-1"]

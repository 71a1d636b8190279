"""The cleanup over a real directory: what goes, what stays, in which order, and what is told of it."""

import logging
import os
import time
from pathlib import Path

import pytest

from api.auth.caller import Caller
from api.cleanup.state import read_last_run
from api.errors import CleanupRefused, ConflictError, NotAuthorized, NotFoundError
from api.retention.record import FOREVER, extension_key, first_seen_key, pin_key
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.environment import ALICE, DAY, FILES, StoreEnvironment, directory_environment
from tests.lines import lines_of


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def test_what_is_due_goes_wholly_and_the_rest_stays(env: StoreEnvironment) -> None:
    env.fill("job-1")
    env.fill("job-10", expires_in=DAY, legacy_in=DAY)
    env.fill("job-1", group="b", legacy_in=DAY)
    before = [key for key in env.stored() if "/a/jobArtifacts/job-1/" not in key]
    cleaned = env.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed, cleaned.plan.looked_at) == (1, 0, 3)
    assert env.stored() == before


def test_neither_a_running_nor_a_collecting_nor_a_pinned_job_is_removed(env: StoreEnvironment) -> None:
    for job in ("running", "collecting", "pinned", "over"):
        env.add_phjob(job)
        env.fill(job, expires_in=DAY, legacy_in=DAY)
    env.retention.pin(env.folder("pinned"), "", ALICE)
    for job in ("running", "collecting", "pinned", "over"):
        env.fill(job)
    env.add_phjob("running", phase="Running", ended_ago=0)
    env.jobs.collecting.add("collecting")
    assert env.cleaner.clean(None).removed == 1
    assert env.left() == ["a/collecting", "a/pinned", "a/running"]


def test_a_phjob_of_another_group_does_not_hold_a_folder_of_its_name(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", group="b", phase="Running", ended_ago=0)
    env.fill("job-1")
    env.fill("job-1", group="b")
    env.cleaner.clean(None)
    assert env.left() == ["b/job-1"]


def test_only_the_groups_that_were_asked_for_are_cleaned(env: StoreEnvironment) -> None:
    for group in ("a", "b-c", "d"):
        env.fill("job-1", group=group)
    assert env.cleaner.clean(["A", "b_c"]).removed == 2
    assert env.left() == ["d/job-1"]
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
    env.fill("job-1")
    for _ in range(2):
        env.cleaner.clean(None)
    assert [key for key in others if key not in env.stored("groups/")] == others[-2:]
    assert [line for line in lines_of(caplog.records) if "left alone" in line] == [
        'left alone folder=groups/Upper_Case why="its name is none that we give"',
        'left alone folder=groups/a/jobArtifacts/.hidden why="its name is none that we give"',
        'left alone folder="groups/a/jobArtifacts/Not A Job" why="its name is none that we give"',
    ]


def test_links_in_a_job_folder_are_unlinked_and_their_targets_untouched(env: StoreEnvironment, tmp_path: Path) -> None:
    env.fill("job-1")
    env.fill("job-2", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "phfs/groups/a/jobArtifacts/job-1"
    (folder / "to-folder").symlink_to(outside)
    (folder / "to-sibling").symlink_to("../job-2")
    (folder / "sub/to-file").symlink_to(outside / "precious")
    (folder / "nowhere").symlink_to("nowhere")
    kept = [key for key in env.stored() if "/job-2/" in key]
    assert env.cleaner.clean(None).removed == 1
    assert env.stored() == kept
    assert (outside / "precious").read_text() == "x"
    assert not folder.exists()


def test_a_job_folder_that_is_a_link_is_left_where_it_is_and_leads_nowhere(
    env: StoreEnvironment, tmp_path: Path
) -> None:
    env.fill("job-1", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    (outside / ".metadata").mkdir(parents=True)
    (outside / ".metadata/expiredAt").write_text("1000000000\n")
    jobs = tmp_path / "phfs/groups/a/jobArtifacts"
    (jobs / "job-2").symlink_to(outside)
    (tmp_path / "phfs/groups/b").mkdir()
    (tmp_path / "phfs/groups/b/jobArtifacts").symlink_to(jobs)
    (tmp_path / "phfs/groups/c").symlink_to("a")
    cleaned = env.cleaner.clean(None, force=True)
    assert (cleaned.removed, cleaned.plan.looked_at) == (0, 1)
    assert (outside / ".metadata/expiredAt").exists()


def test_silent_folders_get_the_retention_from_their_first_sight(env: StoreEnvironment, tmp_path: Path) -> None:
    env.fill("silent", expires_in=None, legacy_in=None)
    old = time.time() - 100 * DAY
    for key in env.stored():
        os.utime(tmp_path / "phfs" / key, (old, old))
    assert env.cleaner.plan(None).due == []
    assert env.stored("phjob-artifacts/first-seen/") == []
    env.cleaner.clean(None)
    assert env.stored("phjob-artifacts/first-seen/") == ["phjob-artifacts/first-seen/a/silent"]
    env.ahead = 6 * DAY
    assert env.cleaner.clean(None, force=True).removed == 0
    env.ahead = 8 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert env.stored("phjob-artifacts/first-seen/") == []


def test_an_empty_job_folder_goes_too_in_time(env: StoreEnvironment, tmp_path: Path) -> None:
    (tmp_path / "phfs/groups/a/jobArtifacts/empty").mkdir(parents=True)
    env.cleaner.clean(None)
    env.ahead = 8 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert not (tmp_path / "phfs/groups/a/jobArtifacts/empty").exists()


def test_for_ever_in_a_file_ends_after_the_administrators_most(env: StoreEnvironment) -> None:
    for job in ("with-phjob", "without"):
        env.fill(job, expires_in=None)
        env.store.write(f"groups/a/jobArtifacts/{job}/{EXPIRED_AT}", b"9999999999999\n")
    env.add_phjob("with-phjob")
    env.cleaner.clean(None)
    env.ahead = 363 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1
    assert env.left() == ["a/without"]
    env.ahead = 366 * DAY
    assert env.cleaner.clean(None, force=True).removed == 1


def test_a_clock_that_was_ahead_at_first_sight_holds_nothing_for_ever(env: StoreEnvironment) -> None:
    env.fill("silent", expires_in=None, legacy_in=None)
    env.store.write(first_seen_key("a", "silent"), b"%d\n" % (time.time() + 999 * DAY))
    env.cleaner.clean(None)
    assert abs(int(env.store.read(first_seen_key("a", "silent"), 100)) - time.time()) < 60


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_disagrees_with_the_stores_stops_the_run(env: StoreEnvironment, seconds: float) -> None:
    env.fill("job-1")
    env.ahead = seconds
    with pytest.raises(CleanupRefused, match="clock"):
        env.cleaner.clean(None)
    assert env.left() == ["a/job-1"]
    assert env.cleaner.clean(None, force=True).removed == 1


def test_a_run_that_would_remove_too_much_stops_and_goes_on_by_force(tmp_path: Path) -> None:
    settings = {"PHJOB_CLEANUP_FLOOR": "2", "PHJOB_CLEANUP_MAX_SHARE": "0.5"}
    env = directory_environment(tmp_path / "phfs", settings)
    for number in range(3):
        env.fill(f"job-{number}")
        env.fill(f"kept-{number}", expires_in=DAY)
    assert env.cleaner.plan(None).refusal == ""
    env.fill("job-3")
    assert "4 of 7 jobs" in env.cleaner.plan(None).refusal
    with pytest.raises(CleanupRefused, match="4 of 7 jobs"):
        env.cleaner.clean(None)
    assert CleanupRefused.code == "REFUSED_BY_GUARD"
    assert len(env.left()) == 7
    assert env.cleaner.clean(None, force=True).removed == 4
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_runs_total", {"result": "refused"}) == 1
    assert value("phjob_artifact_cleanup_runs_total", {"result": "success"}) == 1


def test_runs_over_some_groups_alone_are_not_counted(env: StoreEnvironment) -> None:
    env.ahead = 3600
    with pytest.raises(CleanupRefused):
        env.cleaner.clean(["a"])
    env.ahead = 0
    env.cleaner.clean(["a"])
    value = env.metrics.registry.get_sample_value
    for result in ("success", "failure", "refused"):
        assert value("phjob_artifact_cleanup_runs_total", {"result": result}) == 0


def test_each_removal_is_told_and_counted(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    env.fill("job-1")
    env.cleaner.clean(None)
    size = sum(map(len, FILES.values()))
    lines = lines_of(caplog.records)
    assert f'removed group=a job=job-1 files=3 bytes={size} why="as its expiredAt says"' in lines
    assert f"cleaned looked_at=1 due=1 removed=1 files=3 bytes={size} failed=0" in lines
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_removed_total") == 1
    assert value("phjob_artifact_cleanup_due") == 1
    assert value("phjob_artifact_cleanup_freed_bytes_total") == size
    assert abs((value("phjob_artifact_cleanup_last_success_timestamp_seconds") or 0) - time.time()) < 60


def test_the_plan_says_why_and_writes_nothing(env: StoreEnvironment, tmp_path: Path) -> None:
    env.fill("due")
    env.fill("kept", expires_in=DAY)
    before = sorted(tmp_path.rglob("*"))
    plan = env.cleaner.plan(None)
    assert [(found.job, found.due, found.why) for found in (*plan.due, *plan.kept)] == [
        ("due", True, "as its expiredAt says"),
        ("kept", False, "as its expiredAt says"),
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pin_between_plan_and_removal_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for job in ("first", "second"):
        env.add_phjob(job)
        env.fill(job)
    remove = env.store.remove

    def pin_the_other(prefix: str, last: tuple[str, ...] = ()) -> object:
        other = "second" if "first" in prefix else "first"
        env.store.write(pin_key("a", other), b'{"version": 1, "by": "bob"}')
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", pin_the_other)
    cleaned = env.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed, len(cleaned.plan.due)) == (1, 0, 2)
    assert env.left() == ["a/second"]


def test_an_unreadable_record_holds_and_counts_as_a_failure(
    env: StoreEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    env.fill("job-1")
    env.store.write(pin_key("a", "job-1"), b"\x00")
    cleaned = env.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed) == (0, 1)
    assert 'unreadable record group=a job=job-1 why="it is no JSON"' in lines_of(caplog.records)
    with pytest.raises(ConflictError):
        env.cleaner.delete(env.folder("job-1"), ALICE)


def test_a_folder_that_fails_in_ways_nobody_thought_of_stops_no_other(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in ("job-1", "job-2", "job-3"):
        env.fill(job)
    read, remove = env.store.read, env.store.remove

    def fail_to_read(key: str, most: int) -> bytes:
        return b"" * (1 // 0) if "/job-1/" in key else read(key, most)

    def fail_to_remove(prefix: str, last: tuple[str, ...] = ()) -> object:
        return 1 // 0 if "/job-2/" in prefix else remove(prefix, last)

    monkeypatch.setattr(env.store, "read", fail_to_read)
    monkeypatch.setattr(env.store, "remove", fail_to_remove)
    cleaned = env.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed) == (1, 2)
    assert env.left() == ["a/job-1", "a/job-2"]
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_failed_total") == 2
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 1
    assert env.stored("phjob-artifacts/cleanup/") == [
        "phjob-artifacts/cleanup/clock",
        "phjob-artifacts/cleanup/last-run",
        "phjob-artifacts/cleanup/lock",
    ]
    assert "ZeroDivisionError" in caplog.text


def test_a_file_in_the_place_of_a_groups_job_folders_stops_nothing(env: StoreEnvironment, tmp_path: Path) -> None:
    env.fill("job-1")
    env.store.write("groups/b/jobArtifacts", b"a file where a folder should be")
    cleaned = env.cleaner.clean(None)
    assert cleaned.removed == 1
    assert (tmp_path / "phfs/groups/b/jobArtifacts").is_file()


def test_what_a_crash_left_out_of_line_is_mended(env: StoreEnvironment) -> None:
    env.add_phjob("pinned")
    env.add_phjob("extended")
    until = int(time.time()) + 5 * DAY
    env.fill("pinned")
    env.store.write(pin_key("a", "pinned"), b'{"version": 1, "by": "bob"}')
    env.fill("extended", legacy_in=None)
    env.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % until)
    env.cleaner.clean(None)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        assert env.store.read(f"groups/a/jobArtifacts/pinned/{name}", 99) == b"%d\n" % FOREVER
        assert env.store.read(f"groups/a/jobArtifacts/extended/{name}", 99) == b"%d\n" % until
    assert env.jobs.notes == {"pinned": FOREVER, "extended": until}


def test_notes_of_folders_that_are_gone_go_unless_somebody_wants_them(env: StoreEnvironment) -> None:
    past, to_come = time.time() - DAY, time.time() + DAY
    env.store.write(extension_key("a", "over"), b'{"version": 1, "until": %d}' % past)
    env.store.write(first_seen_key("a", "over"), b"%d\n" % past)
    env.store.write(first_seen_key("gone-group", "job-1"), b"%d\n" % past)
    env.store.write(pin_key("a", "pinned"), b'{"version": 1, "at": %d}' % past)
    env.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % to_come)
    env.store.write(extension_key("a", "with-phjob"), b'{"version": 1, "until": %d}' % past)
    env.store.write(pin_key("a", "unreadable"), b"")
    env.add_phjob("with-phjob")
    env.fill("other", expires_in=DAY)
    env.cleaner.clean(None)
    left = [key.removeprefix("phjob-artifacts/") for key in env.stored("phjob-artifacts/") if "/a/" in key]
    assert left == ["extensions/a/extended", "extensions/a/with-phjob", "pins/a/pinned", "pins/a/unreadable"]
    assert env.stored("phjob-artifacts/first-seen/") == []


def test_a_pin_of_what_is_gone_with_its_phjob_is_waited_for_as_long_as_a_job_may_be_kept(
    env: StoreEnvironment,
) -> None:
    env.store.write(pin_key("a", "job-1"), b'{"version": 1, "at": %d}' % time.time())
    env.fill("other", expires_in=DAY)
    env.ahead = 364 * DAY
    env.cleaner.clean(None, force=True)
    assert env.stored("phjob-artifacts/pins/") == ["phjob-artifacts/pins/a/job-1"]
    env.ahead = 366 * DAY
    env.fill("job-1")
    env.cleaner.clean(None, force=True)
    assert env.left() == ["a/job-1"]
    env.store.remove("groups/a/jobArtifacts/job-1/")
    env.cleaner.clean(None, force=True)
    assert env.stored("phjob-artifacts/pins/") == []


def test_delete_of_a_running_job_says_that_it_runs_even_before_there_is_a_folder(env: StoreEnvironment) -> None:
    env.add_phjob("job-1", phase="Running", ended_ago=0)
    with pytest.raises(ConflictError, match="still runs"):
        env.cleaner.delete(env.folder("job-1"), ALICE)


def test_delete_waits_for_the_pod_of_a_phjob_that_is_gone(env: StoreEnvironment) -> None:
    env.fill("job-1")
    env.jobs.collecting.add("job-1")
    with pytest.raises(ConflictError, match="still runs"):
        env.cleaner.delete(env.folder("job-1"), ALICE)
    env.jobs.collecting.clear()
    env.cleaner.delete(env.folder("job-1"), ALICE)
    assert env.left() == []


def test_a_note_of_a_folder_that_is_gone_and_cannot_be_read_stops_nothing(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env.store.write(pin_key("a", "job-gone"), b"x")
    env.fill("job-1")
    read = env.store.read

    def fail(key: str, most: int) -> bytes:
        if "job-gone" in key:
            raise StoreError("read", key, PermissionError(13, "Permission denied"))
        return read(key, most)

    monkeypatch.setattr(env.store, "read", fail)
    assert env.cleaner.clean(None, force=True).removed == 1
    assert read_last_run(env.store) is not None
    assert "not forgotten group=a job=job-gone" in caplog.text


def test_delete_removes_now_and_leaves_an_audit_line(env: StoreEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    env.add_phjob("job-1")
    folder = env.fill("job-1", expires_in=DAY)
    env.retention.extend(folder, int(time.time()) + 9 * DAY, ALICE)
    env.fill("job-10", expires_in=DAY)
    removed = env.cleaner.delete(folder, ALICE)
    assert removed.files == 3
    assert env.left() == ["a/job-10"]
    assert env.stored("phjob-artifacts/") == []
    assert f"deleted group=a job=job-1 files=3 bytes={removed.bytes} user=alice" in caplog.text


def test_delete_is_refused_while_pinned_or_collecting_to_strangers_and_where_nothing_is(
    env: StoreEnvironment,
) -> None:
    env.add_phjob("job-1")
    folder = env.fill("job-1", expires_in=DAY)
    env.jobs.collecting.add("job-1")
    with pytest.raises(ConflictError, match="still runs"):
        env.cleaner.delete(folder, ALICE)
    env.jobs.collecting.clear()
    with pytest.raises(NotAuthorized):
        env.cleaner.delete(folder, Caller("2", "service", is_service=True))
    env.retention.pin(folder, "", ALICE)
    with pytest.raises(ConflictError, match="pinned by alice"):
        env.cleaner.delete(folder, ALICE)
    with pytest.raises(NotFoundError):
        env.cleaner.delete(env.folder("job-2"), ALICE)
    assert env.left() == ["a/job-1"]

"""The cleanup over a real directory: what goes, what stays, in which order, and what is told of it."""

import logging
import os
import time
from pathlib import Path

import pytest

from api.auth.caller import Caller
from api.cleanup.last_run import read_last_run
from api.errors import Conflict, NotAuthorized, NotFound, Refused
from api.retention.record import FOREVER, extension_key, pin_key, sighting_key
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.worlds import ALICE, DAY, FILES, World, directory_world
from tests.lines import lines_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return directory_world(tmp_path / "phfs")


def test_what_is_due_goes_wholly_and_the_rest_stays(world: World) -> None:
    world.fill("job-1")
    world.fill("job-10", expires_in=DAY, legacy_in=DAY)
    world.fill("job-1", group="b", legacy_in=DAY)
    before = [key for key in world.stored() if "/a/jobArtifacts/job-1/" not in key]
    cleaned = world.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed, cleaned.plan.looked_at) == (1, 0, 3)
    assert world.stored() == before


def test_neither_a_running_nor_a_collecting_nor_a_pinned_job_is_removed(world: World) -> None:
    for job in ("running", "collecting", "pinned", "over"):
        world.add_phjob(job)
        world.fill(job, expires_in=DAY, legacy_in=DAY)
    world.terms.pin(world.folder("pinned"), "", ALICE)
    for job in ("running", "collecting", "pinned", "over"):
        world.fill(job)
    world.add_phjob("running", phase="Running", ended_ago=0)
    world.jobs.collecting.add("collecting")
    assert world.cleaner.clean(None).removed == 1
    assert world.left() == ["a/collecting", "a/pinned", "a/running"]


def test_a_phjob_of_another_group_does_not_hold_a_folder_of_its_name(world: World) -> None:
    world.add_phjob("job-1", group="b", phase="Running", ended_ago=0)
    world.fill("job-1")
    world.fill("job-1", group="b")
    world.cleaner.clean(None)
    assert world.left() == ["b/job-1"]


def test_only_the_groups_that_were_asked_for_are_cleaned(world: World) -> None:
    for group in ("a", "b-c", "d"):
        world.fill("job-1", group=group)
    assert world.cleaner.clean(["A", "b_c"]).removed == 2
    assert world.left() == ["d/job-1"]
    assert world.metrics.registry.get_sample_value("phjob_artifact_cleanup_last_success_timestamp_seconds") == 0


def test_nothing_outside_job_folders_is_touched(world: World, caplog: pytest.LogCaptureFixture) -> None:
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
        world.store.write(key, b"1000000000\n")
    world.fill("job-1")
    for _ in range(2):
        world.cleaner.clean(None)
    assert [key for key in others if key not in world.stored("groups/")] == others[-2:]
    assert [line for line in lines_of(caplog.records) if "left alone" in line] == [
        'left alone folder=groups/Upper_Case why="its name is none that we give"',
        'left alone folder=groups/a/jobArtifacts/.hidden why="its name is none that we give"',
        'left alone folder="groups/a/jobArtifacts/Not A Job" why="its name is none that we give"',
    ]


def test_links_in_a_job_folder_are_unlinked_and_their_targets_untouched(world: World, tmp_path: Path) -> None:
    world.fill("job-1")
    world.fill("job-2", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "phfs/groups/a/jobArtifacts/job-1"
    (folder / "to-folder").symlink_to(outside)
    (folder / "to-sibling").symlink_to("../job-2")
    (folder / "sub/to-file").symlink_to(outside / "precious")
    (folder / "nowhere").symlink_to("nowhere")
    kept = [key for key in world.stored() if "/job-2/" in key]
    assert world.cleaner.clean(None).removed == 1
    assert world.stored() == kept
    assert (outside / "precious").read_text() == "x"
    assert not folder.exists()


def test_a_job_folder_that_is_a_link_is_left_where_it_is_and_leads_nowhere(world: World, tmp_path: Path) -> None:
    world.fill("job-1", expires_in=DAY, legacy_in=DAY)
    outside = tmp_path / "outside"
    (outside / ".metadata").mkdir(parents=True)
    (outside / ".metadata/expiredAt").write_text("1000000000\n")
    jobs = tmp_path / "phfs/groups/a/jobArtifacts"
    (jobs / "job-2").symlink_to(outside)
    (tmp_path / "phfs/groups/b").mkdir()
    (tmp_path / "phfs/groups/b/jobArtifacts").symlink_to(jobs)
    (tmp_path / "phfs/groups/c").symlink_to("a")
    cleaned = world.cleaner.clean(None, force=True)
    assert (cleaned.removed, cleaned.plan.looked_at) == (0, 1)
    assert (outside / ".metadata/expiredAt").exists()


def test_silent_folders_get_the_retention_from_their_first_sight(world: World, tmp_path: Path) -> None:
    world.fill("silent", expires_in=None, legacy_in=None)
    old = time.time() - 100 * DAY
    for key in world.stored():
        os.utime(tmp_path / "phfs" / key, (old, old))
    assert world.cleaner.plan(None).due == []
    assert world.stored("phjob-artifacts/first-seen/") == []
    world.cleaner.clean(None)
    assert world.stored("phjob-artifacts/first-seen/") == ["phjob-artifacts/first-seen/a/silent"]
    world.ahead = 6 * DAY
    assert world.cleaner.clean(None, force=True).removed == 0
    world.ahead = 8 * DAY
    assert world.cleaner.clean(None, force=True).removed == 1
    assert world.stored("phjob-artifacts/first-seen/") == []


def test_an_empty_job_folder_goes_too_in_time(world: World, tmp_path: Path) -> None:
    (tmp_path / "phfs/groups/a/jobArtifacts/empty").mkdir(parents=True)
    world.cleaner.clean(None)
    world.ahead = 8 * DAY
    assert world.cleaner.clean(None, force=True).removed == 1
    assert not (tmp_path / "phfs/groups/a/jobArtifacts/empty").exists()


def test_for_ever_in_a_file_ends_after_the_administrators_most(world: World) -> None:
    for job in ("with-phjob", "without"):
        world.fill(job, expires_in=None)
        world.store.write(f"groups/a/jobArtifacts/{job}/{EXPIRED_AT}", b"9999999999999\n")
    world.add_phjob("with-phjob")
    world.cleaner.clean(None)
    world.ahead = 363 * DAY
    assert world.cleaner.clean(None, force=True).removed == 1
    assert world.left() == ["a/without"]
    world.ahead = 366 * DAY
    assert world.cleaner.clean(None, force=True).removed == 1


def test_a_clock_that_was_ahead_at_first_sight_holds_nothing_for_ever(world: World) -> None:
    world.fill("silent", expires_in=None, legacy_in=None)
    world.store.write(sighting_key("a", "silent"), b"%d\n" % (time.time() + 999 * DAY))
    world.cleaner.clean(None)
    assert abs(int(world.store.read(sighting_key("a", "silent"), 100)) - time.time()) < 60


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_disagrees_with_the_stores_stops_the_run(world: World, seconds: float) -> None:
    world.fill("job-1")
    world.ahead = seconds
    with pytest.raises(Refused, match="clock"):
        world.cleaner.clean(None)
    assert world.left() == ["a/job-1"]
    assert world.cleaner.clean(None, force=True).removed == 1


def test_a_run_that_would_remove_too_much_stops_and_goes_on_by_force(tmp_path: Path) -> None:
    settings = {"PHJOB_CLEANUP_FLOOR": "2", "PHJOB_CLEANUP_MAX_SHARE": "0.5"}
    world = directory_world(tmp_path / "phfs", settings)
    for number in range(3):
        world.fill(f"job-{number}")
        world.fill(f"kept-{number}", expires_in=DAY)
    assert world.cleaner.plan(None).refusal == ""
    world.fill("job-3")
    assert "4 of 7 jobs" in world.cleaner.plan(None).refusal
    with pytest.raises(Refused, match="4 of 7 jobs"):
        world.cleaner.clean(None)
    assert Refused.code == "REFUSED_BY_GUARD"
    assert len(world.left()) == 7
    assert world.cleaner.clean(None, force=True).removed == 4
    value = world.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_runs_total", {"result": "refused"}) == 1
    assert value("phjob_artifact_cleanup_runs_total", {"result": "success"}) == 1


def test_runs_over_some_groups_alone_are_not_counted(world: World) -> None:
    world.ahead = 3600
    with pytest.raises(Refused):
        world.cleaner.clean(["a"])
    world.ahead = 0
    world.cleaner.clean(["a"])
    value = world.metrics.registry.get_sample_value
    for result in ("success", "failure", "refused"):
        assert value("phjob_artifact_cleanup_runs_total", {"result": result}) == 0


def test_each_removal_is_told_and_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.fill("job-1")
    world.cleaner.clean(None)
    size = sum(map(len, FILES.values()))
    lines = lines_of(caplog.records)
    assert f'removed group=a job=job-1 files=3 bytes={size} why="as its expiredAt says"' in lines
    assert f"cleaned looked_at=1 due=1 removed=1 files=3 bytes={size} failed=0" in lines
    value = world.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_removed_total") == 1
    assert value("phjob_artifact_cleanup_due") == 1
    assert value("phjob_artifact_cleanup_freed_bytes_total") == size
    assert abs((value("phjob_artifact_cleanup_last_success_timestamp_seconds") or 0) - time.time()) < 60


def test_the_plan_says_why_and_writes_nothing(world: World, tmp_path: Path) -> None:
    world.fill("due")
    world.fill("kept", expires_in=DAY)
    before = sorted(tmp_path.rglob("*"))
    plan = world.cleaner.plan(None)
    assert [(found.job, found.due, found.why) for found in (*plan.due, *plan.kept)] == [
        ("due", True, "as its expiredAt says"),
        ("kept", False, "as its expiredAt says"),
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pin_between_plan_and_removal_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = directory_world(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for job in ("first", "second"):
        world.add_phjob(job)
        world.fill(job)
    remove = world.store.remove

    def pin_the_other(prefix: str, last: tuple[str, ...] = ()) -> object:
        other = "second" if "first" in prefix else "first"
        world.store.write(pin_key("a", other), b'{"version": 1, "by": "bob"}')
        return remove(prefix, last)

    monkeypatch.setattr(world.store, "remove", pin_the_other)
    cleaned = world.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed, len(cleaned.plan.due)) == (1, 0, 2)
    assert world.left() == ["a/second"]


def test_an_unreadable_record_holds_and_counts_as_a_failure(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.fill("job-1")
    world.store.write(pin_key("a", "job-1"), b"\x00")
    cleaned = world.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed) == (0, 1)
    assert 'unreadable record group=a job=job-1 why="it is no JSON"' in lines_of(caplog.records)
    with pytest.raises(Conflict):
        world.cleaner.delete(world.folder("job-1"), ALICE)


def test_a_folder_that_fails_in_ways_nobody_thought_of_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in ("job-1", "job-2", "job-3"):
        world.fill(job)
    read, remove = world.store.read, world.store.remove

    def fail_to_read(key: str, most: int) -> bytes:
        return b"" * (1 // 0) if "/job-1/" in key else read(key, most)

    def fail_to_remove(prefix: str, last: tuple[str, ...] = ()) -> object:
        return 1 // 0 if "/job-2/" in prefix else remove(prefix, last)

    monkeypatch.setattr(world.store, "read", fail_to_read)
    monkeypatch.setattr(world.store, "remove", fail_to_remove)
    cleaned = world.cleaner.clean(None)
    assert (cleaned.removed, cleaned.failed) == (1, 2)
    assert world.left() == ["a/job-1", "a/job-2"]
    value = world.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_failed_total") == 2
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 1
    assert world.stored("phjob-artifacts/cleanup/") == [
        "phjob-artifacts/cleanup/clock",
        "phjob-artifacts/cleanup/last-run",
        "phjob-artifacts/cleanup/lock",
    ]
    assert "ZeroDivisionError" in caplog.text


def test_a_file_in_the_place_of_a_groups_job_folders_stops_nothing(world: World, tmp_path: Path) -> None:
    world.fill("job-1")
    world.store.write("groups/b/jobArtifacts", b"a file where a folder should be")
    cleaned = world.cleaner.clean(None)
    assert cleaned.removed == 1
    assert (tmp_path / "phfs/groups/b/jobArtifacts").is_file()


def test_what_a_crash_left_out_of_line_is_mended(world: World) -> None:
    world.add_phjob("pinned")
    world.add_phjob("extended")
    until = int(time.time()) + 5 * DAY
    world.fill("pinned")
    world.store.write(pin_key("a", "pinned"), b'{"version": 1, "by": "bob"}')
    world.fill("extended", legacy_in=None)
    world.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % until)
    world.cleaner.clean(None)
    for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        assert world.store.read(f"groups/a/jobArtifacts/pinned/{name}", 99) == b"%d\n" % FOREVER
        assert world.store.read(f"groups/a/jobArtifacts/extended/{name}", 99) == b"%d\n" % until
    assert world.jobs.notes == {"pinned": FOREVER, "extended": until}


def test_notes_of_folders_that_are_gone_go_unless_somebody_wants_them(world: World) -> None:
    past, to_come = time.time() - DAY, time.time() + DAY
    world.store.write(extension_key("a", "over"), b'{"version": 1, "until": %d}' % past)
    world.store.write(sighting_key("a", "over"), b"%d\n" % past)
    world.store.write(sighting_key("gone-group", "job-1"), b"%d\n" % past)
    world.store.write(pin_key("a", "pinned"), b'{"version": 1, "at": %d}' % past)
    world.store.write(extension_key("a", "extended"), b'{"version": 1, "until": %d}' % to_come)
    world.store.write(extension_key("a", "with-phjob"), b'{"version": 1, "until": %d}' % past)
    world.store.write(pin_key("a", "unreadable"), b"")
    world.add_phjob("with-phjob")
    world.fill("other", expires_in=DAY)
    world.cleaner.clean(None)
    left = [key.removeprefix("phjob-artifacts/") for key in world.stored("phjob-artifacts/") if "/a/" in key]
    assert left == ["extensions/a/extended", "extensions/a/with-phjob", "pins/a/pinned", "pins/a/unreadable"]
    assert world.stored("phjob-artifacts/first-seen/") == []


def test_a_pin_of_what_is_gone_with_its_phjob_is_waited_for_as_long_as_a_job_may_be_kept(world: World) -> None:
    world.store.write(pin_key("a", "job-1"), b'{"version": 1, "at": %d}' % time.time())
    world.fill("other", expires_in=DAY)
    world.ahead = 364 * DAY
    world.cleaner.clean(None, force=True)
    assert world.stored("phjob-artifacts/pins/") == ["phjob-artifacts/pins/a/job-1"]
    world.ahead = 366 * DAY
    world.fill("job-1")
    world.cleaner.clean(None, force=True)
    assert world.left() == ["a/job-1"]
    world.store.remove("groups/a/jobArtifacts/job-1/")
    world.cleaner.clean(None, force=True)
    assert world.stored("phjob-artifacts/pins/") == []


def test_delete_of_a_running_job_says_that_it_runs_even_before_there_is_a_folder(world: World) -> None:
    world.add_phjob("job-1", phase="Running", ended_ago=0)
    with pytest.raises(Conflict, match="still runs"):
        world.cleaner.delete(world.folder("job-1"), ALICE)


def test_delete_waits_for_the_pod_of_a_phjob_that_is_gone(world: World) -> None:
    world.fill("job-1")
    world.jobs.collecting.add("job-1")
    with pytest.raises(Conflict, match="still runs"):
        world.cleaner.delete(world.folder("job-1"), ALICE)
    world.jobs.collecting.clear()
    world.cleaner.delete(world.folder("job-1"), ALICE)
    assert world.left() == []


def test_a_note_of_a_folder_that_is_gone_and_cannot_be_read_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.write(pin_key("a", "job-gone"), b"x")
    world.fill("job-1")
    read = world.store.read

    def fail(key: str, most: int) -> bytes:
        if "job-gone" in key:
            raise StoreError("read", key, PermissionError(13, "Permission denied"))
        return read(key, most)

    monkeypatch.setattr(world.store, "read", fail)
    assert world.cleaner.clean(None, force=True).removed == 1
    assert read_last_run(world.store) is not None
    assert "not forgotten group=a job=job-gone" in caplog.text


def test_delete_removes_now_and_leaves_an_audit_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.add_phjob("job-1")
    folder = world.fill("job-1", expires_in=DAY)
    world.terms.extend(folder, int(time.time()) + 9 * DAY, ALICE)
    world.fill("job-10", expires_in=DAY)
    removed = world.cleaner.delete(folder, ALICE)
    assert removed.files == 3
    assert world.left() == ["a/job-10"]
    assert world.stored("phjob-artifacts/") == []
    assert f"deleted group=a job=job-1 files=3 bytes={removed.bytes} user=alice" in caplog.text


def test_delete_is_refused_while_pinned_or_collecting_to_strangers_and_where_nothing_is(world: World) -> None:
    world.add_phjob("job-1")
    folder = world.fill("job-1", expires_in=DAY)
    world.jobs.collecting.add("job-1")
    with pytest.raises(Conflict, match="still runs"):
        world.cleaner.delete(folder, ALICE)
    world.jobs.collecting.clear()
    with pytest.raises(NotAuthorized):
        world.cleaner.delete(folder, Caller("2", "service", is_service=True))
    world.terms.pin(folder, "", ALICE)
    with pytest.raises(Conflict, match="pinned by alice"):
        world.cleaner.delete(folder, ALICE)
    with pytest.raises(NotFound):
        world.cleaner.delete(world.folder("job-2"), ALICE)
    assert world.left() == ["a/job-1"]

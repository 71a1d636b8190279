"""The plan of a sync, by tables: what is copied, kept, frozen, removed, and what waits."""

from collections.abc import Iterable, Mapping

import pytest

from artifacts.report import Count
from sidecar import stamp
from sidecar.manifest import Manifest
from sidecar.plan import RESTLESS_SYNCS, Limits, Moment, Plan, plan_sync
from sidecar.scan import Scan
from sidecar.stamp import Stamp

SECOND = 10**9
NOW_NS = 1_700_000_000 * SECOND
LIMITS = Limits(files=1000, bytes=1000, keep=False)
KEEP = Limits(files=1000, bytes=1000, keep=True)
LAST = Moment(last=True, eager=True, wall_ns=NOW_NS, clock=100.0, quiet_seconds=2.0)
EAGER = Moment(last=False, eager=True, wall_ns=NOW_NS, clock=100.0, quiet_seconds=2.0)
MOMENTS = pytest.mark.parametrize("moment", [LAST, EAGER], ids=["last", "eager"])


def running(clock: float = 100.0) -> Moment:
    return Moment(last=False, eager=False, wall_ns=NOW_NS, clock=clock, quiet_seconds=2.0)


def mark(size: int, age_seconds: float = 60.0, inode: int = 1) -> Stamp:
    changed = NOW_NS - int(age_seconds * SECOND)
    return stamp.pack(size, changed, changed, inode)


def found(files: Mapping[str, int] | None = None, **rest: object) -> Scan:
    """A scan of files of these sizes, all at rest."""
    scan = Scan(exists=True, files={path: mark(size) for path, size in (files or {}).items()})
    for name, value in rest.items():
        setattr(scan, name, value)
    return scan


def copied(
    files: Mapping[str, int] | None = None, pending: Iterable[str] = (), earlier: Iterable[str] = ()
) -> Manifest:
    """The manifest after these files were copied, as `found` finds them."""
    manifest = Manifest("job-1", "uid-1")
    for path, size in (files or {}).items():
        manifest.enter(path, mark(size), b"", size, unstable=False)
    manifest.pending.update(pending)
    manifest.earlier.update(dict.fromkeys(earlier, mark(1)))
    return manifest


def work(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    return plan.clear, plan.copy, plan.remove


def test_what_is_new_or_changed_is_copied_in_order_and_what_is_gone_removed() -> None:
    manifest = copied({"same": 1, "grown": 1, "gone": 1, "b/gone": 1})
    plan = plan_sync(found({"same": 1, "grown": 2, "new": 3, "a/new": 4}), manifest, LIMITS, LAST)
    assert work(plan) == ([], ["a/new", "grown", "new"], ["b/gone", "gone"])
    assert (plan.found, plan.exceeded, plan.rejected) == (Count(4, 10), False, False)


@pytest.mark.parametrize("changed", [(2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)])
def test_a_file_changed_if_its_size_a_time_or_the_inode_differs(changed: tuple[int, int, int, int]) -> None:
    manifest = copied()
    manifest.enter("a", stamp.pack(1, 1, 1, 1), b"d" * 32, 1, unstable=False)
    assert plan_sync(found(files={"a": 1}), manifest, LIMITS, LAST).copy == ["a"]
    for now, copy in ((stamp.pack(1, 1, 1, 1), []), (stamp.pack(*changed), ["a"])):
        assert plan_sync(Scan(files={"a": now}), manifest, LIMITS, LAST).copy == copy


@MOMENTS
def test_what_may_be_half_written_is_copied_again(moment: Moment) -> None:
    plan = plan_sync(found({"a": 1, "b": 1}), copied({"a": 1, "b": 1}, pending=["b"]), LIMITS, moment)
    assert plan.copy == ["b"]


def test_what_was_unstable_is_copied_again_at_the_end_and_not_at_every_sync() -> None:
    manifest = copied({"a": 1})
    manifest.unstable.add("a")
    assert plan_sync(found({"a": 1}), manifest, LIMITS, running()).copy == []
    assert plan_sync(found({"a": 1}), manifest, LIMITS, LAST).copy == ["a"]


def test_what_an_interrupted_copy_left_of_a_file_that_is_gone_is_removed() -> None:
    assert plan_sync(found(), copied(pending=["a"]), LIMITS, LAST).remove == ["a"]


@pytest.mark.parametrize(
    ("files", "size", "exceeded"), [(2, 10, False), (3, 3, True), (2, 11, True), (0, 0, False), (1, 10, False)]
)
def test_the_limits_are_the_most_that_is_allowed(files: int, size: int, exceeded: bool) -> None:
    scan = found({f"f{number}": size // files + (number < size % files) for number in range(files)})
    for keep in (False, True):
        plan = plan_sync(scan, copied(), Limits(2, 10, keep), LAST)
        assert plan.exceeded is exceeded
        assert plan.rejected is (exceeded and not keep)


def test_reject_keeps_nothing_at_the_end() -> None:
    manifest = copied({"a": 1, "b": 1}, pending=["c", "older"], earlier=["old", "older"])
    plan = plan_sync(found({"a": 600, "b": 600}), manifest, LIMITS, LAST)
    assert work(plan) == ([], [], ["a", "b", "c"])
    assert plan.rejected
    assert (plan.skipped["over_limit"].files, plan.skipped["over_limit"].bytes) == (2, 1200)


@pytest.mark.parametrize("moment", [EAGER, running()], ids=["eager", "running"])
def test_reject_freezes_the_job_folder_while_main_runs(moment: Moment) -> None:
    plan = plan_sync(found({"a": 600, "b": 600}), copied({"a": 1, "gone": 1}), LIMITS, moment)
    assert work(plan) == ([], [], [])
    assert (plan.exceeded, plan.rejected) == (True, False)


def test_reject_empties_the_job_folder_only_for_files_that_are_surely_there() -> None:
    manifest = copied({"d/old": 900})
    plan = plan_sync(found({"a": 1000}, unsure={"d"}), manifest, LIMITS, LAST)
    assert (work(plan), plan.rejected) == (([], [], []), False)
    plan = plan_sync(found({"a": 1001}, unsure={"d"}), manifest, LIMITS, LAST)
    assert (work(plan), plan.rejected) == (([], [], ["d/old"]), True)


def test_a_job_that_is_within_the_limits_again_goes_on() -> None:
    manifest = copied({"a": 1, "gone": 1})
    frozen = plan_sync(found({"a": 1, "big": 5000}), manifest, LIMITS, EAGER)
    plan = plan_sync(found({"a": 1, "b": 2}), manifest, LIMITS, EAGER, frozen)
    assert work(plan) == ([], ["b"], ["gone"])


def test_keep_takes_in_byte_order_what_fits_and_tries_the_next() -> None:
    files = {"a": 400, "b": 700, "c": 500, "d": 200, "ü": 100, "z": 101}
    plan = plan_sync(found(files), copied(), KEEP, LAST)
    assert plan.copy == ["a", "c", "ü"]
    assert plan.skipped["over_limit"].paths == ["b", "d", "z"]
    assert (plan.exceeded, plan.rejected, plan.spare_bytes) == (True, False, 0)


def test_keep_counts_files_too() -> None:
    plan = plan_sync(found({"a": 1, "b": 1, "c": 0}), copied(), Limits(2, 1000, keep=True), LAST)
    assert (plan.copy, plan.skipped["over_limit"].paths) == (["a", "b"], ["c"])


def test_keep_takes_at_the_end_the_same_whatever_was_copied_before() -> None:
    files = {"a": 600, "b": 600, "c": 300}
    for before in ({}, {"b": 600}, {"c": 300, "b": 600}, files):
        plan = plan_sync(found(files), copied(before), KEEP, LAST)
        kept = (before.keys() | set(plan.copy)) - set(plan.remove)
        assert kept == {"a", "c"}


def test_keep_lets_what_was_copied_stay_while_main_runs() -> None:
    plan = plan_sync(found({"a": 600, "b": 600}), copied({"b": 600}), KEEP, EAGER)
    assert work(plan) == ([], [], [])


def test_a_copy_whose_file_no_longer_fits_counts_as_long_as_it_stays() -> None:
    """Else a job could fill the store by letting files grow past the limit once they were copied."""
    plan = plan_sync(found({"a": 1001, "b": 900}), copied({"a": 900}), KEEP, EAGER)
    assert work(plan) == ([], [], [])
    plan = plan_sync(found({"a": 1001, "b": 100}), copied({"a": 900}), KEEP, EAGER)
    assert work(plan) == ([], ["b"], [])


def test_what_shrinks_makes_room_for_what_grows_and_that_comes_before_what_is_new() -> None:
    plan = plan_sync(found({"a": 600, "b": 300, "c": 200}), copied({"a": 500, "b": 500}), KEEP, EAGER)
    assert (plan.copy, plan.skipped["over_limit"].paths) == (["a", "b"], ["c"])


def test_what_shrinks_is_copied_though_there_is_no_room_left() -> None:
    plan = plan_sync(found({"a": 590, "b": 600}, in_place={"x": 500}), copied({"a": 600, "b": 600}), KEEP, EAGER)
    assert work(plan) == ([], ["a"], [])


@pytest.mark.parametrize("unsure", ["", "d", "d/old"])
@MOMENTS
def test_a_copy_of_which_nothing_can_be_told_stays_and_counts(moment: Moment, unsure: str) -> None:
    """Else a job could fill the store by hiding folders once they were copied."""
    manifest = copied({"d/old": 900})
    for limits in (LIMITS, KEEP):
        plan = plan_sync(found({"a": 100}, unsure={unsure}), manifest, limits, moment)
        assert work(plan) == ([], ["a"], [])
        plan = plan_sync(found({"a": 101}, unsure={unsure}), manifest, limits, moment)
        assert (work(plan), plan.exceeded, plan.rejected) == (([], [], []), True, False)


def test_after_an_incomplete_look_nothing_is_removed() -> None:
    plan = plan_sync(found({"a": 1}, truncated=True), copied({"gone": 1}, pending=["half"]), LIMITS, LAST)
    assert work(plan) == ([], ["a"], [])
    plan = plan_sync(found({"a": 101}, truncated=True), copied({"gone": 900}), KEEP, LAST)
    assert work(plan) == ([], [], [])


@pytest.mark.parametrize(
    ("unsure", "kept"),
    [({""}, {"d/x", "d/e/y", "dd/z"}), ({"d"}, {"d/x", "d/e/y"}), ({"d/e"}, {"d/e/y"}), ({"dd/z"}, {"dd/z"})],
)
def test_nothing_is_removed_of_which_nothing_can_be_told(unsure: set[str], kept: set[str]) -> None:
    manifest = copied({"d/x": 1, "d/e/y": 1}, pending=["dd/z"])
    plan = plan_sync(found(unsure=unsure), manifest, LIMITS, LAST)
    assert manifest.paths() - set(plan.remove) == kept


def test_what_lies_in_the_job_folder_already_counts_and_is_never_copied_or_removed() -> None:
    plan = plan_sync(found({"a": 1}, in_place={"own": 5, "d/own": 6}), copied(), LIMITS, LAST)
    assert (work(plan), plan.in_place) == (([], ["a"], []), Count(2, 11))
    plan = plan_sync(found({"a": 1, "b": 1}, in_place={"own": 999}), copied(), KEEP, LAST)
    assert (plan.copy, plan.exceeded) == (["a"], True)
    assert plan_sync(found({"a": 2}, in_place={"own": 999}), copied(), LIMITS, LAST).rejected


@MOMENTS
def test_a_copy_that_the_job_sees_in_place_of_its_file_stays(moment: Moment) -> None:
    """After `rm -r artifacts; ln -s /phfs/jobArtifacts/<job> artifacts` our copies are the job's only ones."""
    plan = plan_sync(found(in_place={"a": 900, "half": 1}), copied({"a": 900}, pending=["half"]), LIMITS, moment)
    assert (work(plan), plan.in_place) == (([], [], []), Count())
    plan = plan_sync(found({"b": 101}, in_place={"a": 900}), copied({"a": 900}), KEEP, moment)
    assert (work(plan), plan.exceeded) == (([], [], []), True)


@MOMENTS
def test_files_of_an_earlier_pod_stay_until_the_seal_and_do_not_count(moment: Moment) -> None:
    manifest = copied(earlier=["old", "a"])
    plan = plan_sync(found({"a": 999, "b": 1}), manifest, LIMITS, moment)
    assert work(plan) == ([], ["a", "b"], [])


@pytest.mark.parametrize(
    ("gone", "new"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a"), ("a/b", "a/b/c")]
)
def test_a_copy_in_the_way_of_another_is_cleared_first(gone: str, new: str) -> None:
    plan = plan_sync(found({new: 1}), copied({gone: 1, "z": 1}), LIMITS, LAST)
    assert work(plan) == ([gone], [new], ["z"])
    plan = plan_sync(found({new: 1}), copied(earlier=[gone, "z"]), LIMITS, LAST)
    assert work(plan) == ([gone], [new], [])


def test_names_that_only_begin_alike_are_not_in_the_way() -> None:
    plan = plan_sync(found({"a/b": 1}), copied({"a.txt": 1, "ab": 1}), LIMITS, LAST)
    assert work(plan) == ([], ["a/b"], ["a.txt", "ab"])


def test_a_changed_file_is_copied_once_it_rests() -> None:
    scan = Scan(files={"quiet": mark(1, 2.0), "busy": mark(1, 1.9)})
    plan = plan_sync(scan, copied(), LIMITS, running())
    assert (plan.copy, set(plan.waiting)) == (["quiet"], {"busy"})
    assert plan_sync(scan, copied(), LIMITS, EAGER).copy == ["busy", "quiet"]


@pytest.mark.parametrize("age_seconds", [-3600.0, 0.0])
def test_where_the_clocks_differ_a_file_rests_when_it_was_seen_to(age_seconds: float) -> None:
    scan = Scan(files={"a": mark(1, age_seconds)})
    before = plan_sync(scan, copied(), LIMITS, running(100.0))
    assert before.copy == []
    before = plan_sync(scan, copied(), LIMITS, running(101.9), before)
    assert before.copy == []
    assert plan_sync(scan, copied(), LIMITS, running(102.0), before).copy == ["a"]


def test_a_file_that_changes_meanwhile_begins_to_rest_anew() -> None:
    before = plan_sync(Scan(files={"a": mark(1, -9)}), copied(), LIMITS, running(100.0))
    before = plan_sync(Scan(files={"a": mark(2, -9)}), copied(), LIMITS, running(101.9), before)
    assert plan_sync(Scan(files={"a": mark(2, -9)}), copied(), LIMITS, running(103.8), before).copy == []


def test_a_file_that_never_rests_is_copied_every_few_syncs() -> None:
    manifest, before, copies = copied(), None, []
    for number in range(4 * (RESTLESS_SYNCS + 1)):
        before = plan_sync(Scan(files={"log": mark(number, 0)}), manifest, LIMITS, running(100.0 + number), before)
        for path in before.copy:
            copies.append(number)
            manifest.enter(path, mark(number, 0), b"", number, unstable=True)
    assert copies == [RESTLESS_SYNCS + turn * (RESTLESS_SYNCS + 1) for turn in range(4)]


def test_copies_may_grow_by_what_the_limit_leaves() -> None:
    assert plan_sync(found({"a": 300}, in_place={"x": 100}), copied(), LIMITS, LAST).spare_bytes == 600

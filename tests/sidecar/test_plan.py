"""The plan of a sync: which files are copied, retained, removed and deferred."""

from collections.abc import Iterable, Mapping

import pytest

from artifacts.report import Count
from sidecar.file_signature import FileSignature, pack
from sidecar.limits import Limits
from sidecar.manifest import Manifest
from sidecar.plan import MAX_DEFERRALS, SyncContext, SyncPlan, plan_sync
from sidecar.scan import Scan

SECOND = 10**9
NOW_NS = 1_700_000_000 * SECOND
LIMITS = Limits(files=1000, bytes=1000, keep=False)
KEEP = Limits(files=1000, bytes=1000, keep=True)
LAST = SyncContext(is_last=True, is_eager=True, now_ns=NOW_NS, monotonic_seconds=100.0, quiet_seconds=2.0)
EAGER = SyncContext(is_last=False, is_eager=True, now_ns=NOW_NS, monotonic_seconds=100.0, quiet_seconds=2.0)
CONTEXTS = pytest.mark.parametrize("context", [LAST, EAGER], ids=["last", "eager"])


def main_runs(monotonic_seconds: float = 100.0) -> SyncContext:
    """Return the context of a sync while main runs."""
    return SyncContext(
        is_last=False, is_eager=False, now_ns=NOW_NS, monotonic_seconds=monotonic_seconds, quiet_seconds=2.0
    )


def signature(size: int, age_seconds: float = 60.0, inode: int = 1) -> FileSignature:
    changed = NOW_NS - int(age_seconds * SECOND)
    return pack(size, changed, changed, inode)


def scan_of(files: Mapping[str, int] | None = None, **rest: object) -> Scan:
    """Return a scan of files of these sizes, all quiet."""
    scan = Scan(exists=True, files={path: signature(size) for path, size in (files or {}).items()})
    for name, value in rest.items():
        setattr(scan, name, value)
    return scan


def manifest_of(
    files: Mapping[str, int] | None = None, pending: Iterable[str] = (), earlier: Iterable[str] = ()
) -> Manifest:
    """Return the manifest after the files of `scan_of` were copied."""
    manifest = Manifest("job-1", "uid-1")
    for path, size in (files or {}).items():
        manifest.add_copy(path, signature(size), b"", size, unstable=False)
    manifest.pending.update(pending)
    manifest.earlier.update(dict.fromkeys(earlier, signature(1)))
    return manifest


def work(plan: SyncPlan) -> tuple[list[str], list[str], list[str]]:
    """Return the three lists of the plan: remove_first, copy, remove."""
    return plan.remove_first, plan.copy, plan.remove


def test_new_and_changed_files_are_copied_in_order_and_copies_of_missing_files_removed() -> None:
    manifest = manifest_of({"same": 1, "grown": 1, "gone": 1, "b/gone": 1})
    plan = plan_sync(scan_of({"same": 1, "grown": 2, "new": 3, "a/new": 4}), manifest, LIMITS, LAST)
    assert work(plan) == ([], ["a/new", "grown", "new"], ["b/gone", "gone"])
    assert (plan.found, plan.is_over_limit, plan.is_rejected) == (Count(4, 10), False, False)


@pytest.mark.parametrize("changed", [(2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)])
def test_a_file_is_changed_if_size_times_or_inode_differ(changed: tuple[int, int, int, int]) -> None:
    manifest = manifest_of()
    manifest.add_copy("a", pack(1, 1, 1, 1), b"d" * 32, 1, unstable=False)
    assert plan_sync(scan_of(files={"a": 1}), manifest, LIMITS, LAST).copy == ["a"]
    for now, copy in ((pack(1, 1, 1, 1), []), (pack(*changed), ["a"])):
        assert plan_sync(Scan(files={"a": now}), manifest, LIMITS, LAST).copy == copy


@CONTEXTS
def test_pending_files_are_copied_again(context: SyncContext) -> None:
    plan = plan_sync(scan_of({"a": 1, "b": 1}), manifest_of({"a": 1, "b": 1}, pending=["b"]), LIMITS, context)
    assert plan.copy == ["b"]


def test_unstable_files_are_copied_again_only_in_the_last_sync() -> None:
    manifest = manifest_of({"a": 1})
    manifest.unstable.add("a")
    assert plan_sync(scan_of({"a": 1}), manifest, LIMITS, main_runs()).copy == []
    assert plan_sync(scan_of({"a": 1}), manifest, LIMITS, LAST).copy == ["a"]


def test_pending_copies_of_missing_files_are_removed() -> None:
    assert plan_sync(scan_of(), manifest_of(pending=["a"]), LIMITS, LAST).remove == ["a"]


@pytest.mark.parametrize(
    ("files", "size", "exceeded"), [(2, 10, False), (3, 3, True), (2, 11, True), (0, 0, False), (1, 10, False)]
)
def test_limits_are_inclusive(files: int, size: int, exceeded: bool) -> None:
    scan = scan_of({f"f{number}": size // files + (number < size % files) for number in range(files)})
    for keep in (False, True):
        plan = plan_sync(scan, manifest_of(), Limits(2, 10, keep), LAST)
        assert plan.is_over_limit is exceeded
        assert plan.is_rejected is (exceeded and not keep)


def test_reject_removes_all_copies_in_the_last_sync() -> None:
    manifest = manifest_of({"a": 1, "b": 1}, pending=["c", "older"], earlier=["old", "older"])
    plan = plan_sync(scan_of({"a": 600, "b": 600}), manifest, LIMITS, LAST)
    assert work(plan) == ([], [], ["a", "b", "c"])
    assert plan.is_rejected
    assert (plan.skipped["over_limit"].files, plan.skipped["over_limit"].bytes) == (2, 1200)


@pytest.mark.parametrize("context", [EAGER, main_runs()], ids=["eager", "running"])
def test_reject_neither_copies_nor_removes_while_main_runs(context: SyncContext) -> None:
    plan = plan_sync(scan_of({"a": 600, "b": 600}), manifest_of({"a": 1, "gone": 1}), LIMITS, context)
    assert work(plan) == ([], [], [])
    assert (plan.is_over_limit, plan.is_rejected) == (True, False)


def test_reject_removes_copies_only_if_the_found_files_alone_exceed_the_limit() -> None:
    manifest = manifest_of({"d/old": 900})
    plan = plan_sync(scan_of({"a": 1000}, uncertain={"d"}), manifest, LIMITS, LAST)
    assert (work(plan), plan.is_rejected) == (([], [], []), False)
    plan = plan_sync(scan_of({"a": 1001}, uncertain={"d"}), manifest, LIMITS, LAST)
    assert (work(plan), plan.is_rejected) == (([], [], ["d/old"]), True)


def test_syncs_continue_once_a_job_is_within_the_limits_again() -> None:
    manifest = manifest_of({"a": 1, "gone": 1})
    frozen = plan_sync(scan_of({"a": 1, "big": 5000}), manifest, LIMITS, EAGER)
    plan = plan_sync(scan_of({"a": 1, "b": 2}), manifest, LIMITS, EAGER, frozen)
    assert work(plan) == ([], ["b"], ["gone"])


def test_keep_copies_the_files_that_fit_in_byte_order() -> None:
    files = {"a": 400, "b": 700, "c": 500, "d": 200, "ü": 100, "z": 101}
    plan = plan_sync(scan_of(files), manifest_of(), KEEP, LAST)
    assert plan.copy == ["a", "c", "ü"]
    assert plan.skipped["over_limit"].paths == ["b", "d", "z"]
    assert (plan.is_over_limit, plan.is_rejected, plan.spare_bytes) == (True, False, 0)


def test_keep_respects_the_limit_on_files() -> None:
    plan = plan_sync(scan_of({"a": 1, "b": 1, "c": 0}), manifest_of(), Limits(2, 1000, keep=True), LAST)
    assert (plan.copy, plan.skipped["over_limit"].paths) == (["a", "b"], ["c"])


def test_keep_selects_the_same_files_in_the_last_sync_regardless_of_earlier_copies() -> None:
    files = {"a": 600, "b": 600, "c": 300}
    for previous in ({}, {"b": 600}, {"c": 300, "b": 600}, files):
        plan = plan_sync(scan_of(files), manifest_of(previous), KEEP, LAST)
        retained = (previous.keys() | set(plan.copy)) - set(plan.remove)
        assert retained == {"a", "c"}


def test_keep_retains_existing_copies_while_main_runs() -> None:
    plan = plan_sync(scan_of({"a": 600, "b": 600}), manifest_of({"b": 600}), KEEP, EAGER)
    assert work(plan) == ([], [], [])


def test_a_retained_copy_whose_file_no_longer_fits_counts_towards_the_limit() -> None:
    """Otherwise a job could fill the store by letting files grow over the limit once they are copied."""
    plan = plan_sync(scan_of({"a": 1001, "b": 900}), manifest_of({"a": 900}), KEEP, EAGER)
    assert work(plan) == ([], [], [])
    plan = plan_sync(scan_of({"a": 1001, "b": 100}), manifest_of({"a": 900}), KEEP, EAGER)
    assert work(plan) == ([], ["b"], [])


def test_shrunk_files_make_room_for_grown_files_before_new_ones() -> None:
    plan = plan_sync(scan_of({"a": 600, "b": 300, "c": 200}), manifest_of({"a": 500, "b": 500}), KEEP, EAGER)
    assert (plan.copy, plan.skipped["over_limit"].paths) == (["a", "b"], ["c"])


def test_a_shrunk_file_is_copied_even_without_room() -> None:
    plan = plan_sync(scan_of({"a": 590, "b": 600}, in_place={"x": 500}), manifest_of({"a": 600, "b": 600}), KEEP, EAGER)
    assert work(plan) == ([], ["a"], [])


@pytest.mark.parametrize("uncertain", ["", "d", "d/old"])
@CONTEXTS
def test_a_copy_whose_file_is_uncertain_stays_and_counts(context: SyncContext, uncertain: str) -> None:
    """Otherwise a job could fill the store by hiding folders once they are copied."""
    manifest = manifest_of({"d/old": 900})
    for limits in (LIMITS, KEEP):
        plan = plan_sync(scan_of({"a": 100}, uncertain={uncertain}), manifest, limits, context)
        assert work(plan) == ([], ["a"], [])
        plan = plan_sync(scan_of({"a": 101}, uncertain={uncertain}), manifest, limits, context)
        assert (work(plan), plan.is_over_limit, plan.is_rejected) == (([], [], []), True, False)


def test_nothing_is_removed_after_a_truncated_scan() -> None:
    plan = plan_sync(scan_of({"a": 1}, is_truncated=True), manifest_of({"gone": 1}, pending=["half"]), LIMITS, LAST)
    assert work(plan) == ([], ["a"], [])
    plan = plan_sync(scan_of({"a": 101}, is_truncated=True), manifest_of({"gone": 900}), KEEP, LAST)
    assert work(plan) == ([], [], [])


@pytest.mark.parametrize(
    ("uncertain", "retained"),
    [({""}, {"d/x", "d/e/y", "dd/z"}), ({"d"}, {"d/x", "d/e/y"}), ({"d/e"}, {"d/e/y"}), ({"dd/z"}, {"dd/z"})],
)
def test_copies_of_uncertain_files_are_not_removed(uncertain: set[str], retained: set[str]) -> None:
    manifest = manifest_of({"d/x": 1, "d/e/y": 1}, pending=["dd/z"])
    plan = plan_sync(scan_of(uncertain=uncertain), manifest, LIMITS, LAST)
    assert manifest.paths() - set(plan.remove) == retained


def test_files_in_place_count_and_are_never_copied_or_removed() -> None:
    plan = plan_sync(scan_of({"a": 1}, in_place={"own": 5, "d/own": 6}), manifest_of(), LIMITS, LAST)
    assert (work(plan), plan.in_place) == (([], ["a"], []), Count(2, 11))
    plan = plan_sync(scan_of({"a": 1, "b": 1}, in_place={"own": 999}), manifest_of(), KEEP, LAST)
    assert (plan.copy, plan.is_over_limit) == (["a"], True)
    assert plan_sync(scan_of({"a": 2}, in_place={"own": 999}), manifest_of(), LIMITS, LAST).is_rejected


@CONTEXTS
def test_a_copy_that_the_job_itself_uses_stays(context: SyncContext) -> None:
    """After `rm -r artifacts; ln -s /phfs/jobArtifacts/<job> artifacts`, the copies are the job's only files."""
    plan = plan_sync(
        scan_of(in_place={"a": 900, "half": 1}), manifest_of({"a": 900}, pending=["half"]), LIMITS, context
    )
    assert (work(plan), plan.in_place) == (([], [], []), Count())
    plan = plan_sync(scan_of({"b": 101}, in_place={"a": 900}), manifest_of({"a": 900}), KEEP, context)
    assert (work(plan), plan.is_over_limit) == (([], [], []), True)


@CONTEXTS
def test_files_of_an_earlier_pod_stay_until_the_seal_and_do_not_count(context: SyncContext) -> None:
    manifest = manifest_of(earlier=["old", "a"])
    plan = plan_sync(scan_of({"a": 999, "b": 1}), manifest, LIMITS, context)
    assert work(plan) == ([], ["a", "b"], [])


@pytest.mark.parametrize(
    ("gone", "new"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a"), ("a/b", "a/b/c")]
)
def test_a_copy_that_obstructs_another_is_removed_first(gone: str, new: str) -> None:
    plan = plan_sync(scan_of({new: 1}), manifest_of({gone: 1, "z": 1}), LIMITS, LAST)
    assert work(plan) == ([gone], [new], ["z"])
    plan = plan_sync(scan_of({new: 1}), manifest_of(earlier=[gone, "z"]), LIMITS, LAST)
    assert work(plan) == ([gone], [new], [])


def test_names_with_a_common_prefix_do_not_obstruct() -> None:
    plan = plan_sync(scan_of({"a/b": 1}), manifest_of({"a.txt": 1, "ab": 1}), LIMITS, LAST)
    assert work(plan) == ([], ["a/b"], ["a.txt", "ab"])


def test_a_changed_file_is_copied_once_it_is_quiet() -> None:
    scan = Scan(files={"quiet": signature(1, 2.0), "busy": signature(1, 1.9)})
    plan = plan_sync(scan, manifest_of(), LIMITS, main_runs())
    assert (plan.copy, set(plan.deferred)) == (["quiet"], {"busy"})
    assert plan_sync(scan, manifest_of(), LIMITS, EAGER).copy == ["busy", "quiet"]


@pytest.mark.parametrize("age_seconds", [-3600.0, 0.0])
def test_a_file_from_a_machine_with_another_clock_is_quiet_by_observation(age_seconds: float) -> None:
    scan = Scan(files={"a": signature(1, age_seconds)})
    previous = plan_sync(scan, manifest_of(), LIMITS, main_runs(100.0))
    assert previous.copy == []
    previous = plan_sync(scan, manifest_of(), LIMITS, main_runs(101.9), previous)
    assert previous.copy == []
    assert plan_sync(scan, manifest_of(), LIMITS, main_runs(102.0), previous).copy == ["a"]


def test_a_change_restarts_the_quiet_time() -> None:
    previous = plan_sync(Scan(files={"a": signature(1, -9)}), manifest_of(), LIMITS, main_runs(100.0))
    previous = plan_sync(Scan(files={"a": signature(2, -9)}), manifest_of(), LIMITS, main_runs(101.9), previous)
    assert plan_sync(Scan(files={"a": signature(2, -9)}), manifest_of(), LIMITS, main_runs(103.8), previous).copy == []


def test_a_file_that_keeps_changing_is_copied_every_few_syncs() -> None:
    manifest, previous, copies = manifest_of(), None, []
    for number in range(4 * (MAX_DEFERRALS + 1)):
        previous = plan_sync(
            Scan(files={"log": signature(number, 0)}), manifest, LIMITS, main_runs(100.0 + number), previous
        )
        for path in previous.copy:
            copies.append(number)
            manifest.add_copy(path, signature(number, 0), b"", number, unstable=True)
    assert copies == [MAX_DEFERRALS + turn * (MAX_DEFERRALS + 1) for turn in range(4)]


def test_copies_may_grow_up_to_the_limit() -> None:
    assert plan_sync(scan_of({"a": 300}, in_place={"x": 100}), manifest_of(), LIMITS, LAST).spare_bytes == 600


@pytest.mark.parametrize("limits", [LIMITS, KEEP], ids=["reject", "keep"])
@CONTEXTS
def test_linked_files_get_the_room_that_own_files_leave(context: SyncContext, limits: Limits) -> None:
    scan = scan_of({"z": 600, "a": 300, "b": 200, "c": 100}, linked={"a", "b", "c"})
    plan = plan_sync(scan, manifest_of(), limits, context)
    assert work(plan) == ([], ["z", "a", "c"], [])
    assert (plan.found, plan.spare_bytes, plan.is_over_limit) == (Count(3, 1000), 0, False)
    assert list(plan.skipped) == ["link_over_limit"]
    assert (plan.skipped["link_over_limit"].paths, plan.skipped["link_over_limit"].bytes) == (["b"], 200)
    plan = plan_sync(scan, manifest_of(), Limits(2, 1000, limits.keep), context)
    assert (plan.copy, plan.skipped["link_over_limit"].paths) == (["z", "a"], ["b", "c"])


def test_copies_of_linked_files_make_room_for_an_own_file_that_is_copied() -> None:
    scan = scan_of({"link": 600, "m": 400, "own": 500}, linked={"link", "m"})
    manifest = manifest_of({"link": 600, "m": 400})
    plan = plan_sync(scan, manifest, LIMITS, EAGER)
    assert work(plan) == (["link"], ["own"], [])
    scan.files["own"] = signature(500, age_seconds=0)
    plan = plan_sync(scan, manifest, LIMITS, main_runs())
    assert (work(plan), set(plan.deferred), plan.skipped) == (([], [], []), {"own"}, {})


def test_a_new_linked_file_does_not_take_the_room_of_a_deferred_own_file() -> None:
    scan = scan_of({"link": 500, "own": 0}, linked={"link"})
    scan.files["own"] = signature(600, age_seconds=0)
    plan = plan_sync(scan, manifest_of(), LIMITS, main_runs())
    assert (plan.copy, set(plan.deferred), list(plan.skipped)) == ([], {"own"}, ["link_over_limit"])


def test_linked_files_with_copies_have_precedence_while_main_runs_and_byte_order_decides_at_the_end() -> None:
    scan = scan_of({"a": 600, "b": 600}, linked={"a", "b"})
    assert work(plan_sync(scan, manifest_of({"b": 600}), LIMITS, EAGER)) == ([], [], [])
    assert work(plan_sync(scan, manifest_of({"b": 600}), LIMITS, LAST)) == (["b"], ["a"], [])


@CONTEXTS
def test_a_copy_below_an_uncertain_link_stays_as_long_as_own_files_leave_room(context: SyncContext) -> None:
    manifest = manifest_of({"d/a": 900})
    for size, removed, reasons in ((100, [], []), (101, ["d/a"], ["link_over_limit"])):
        plan = plan_sync(scan_of({"own": size}, uncertain={"d"}, linked={"d"}), manifest, LIMITS, context)
        assert (work(plan), list(plan.skipped)) == ((removed, ["own"], []), reasons)


def test_linked_files_of_a_job_over_the_limit_are_skipped_too() -> None:
    scan = scan_of({"a": 1001, "b": 10}, linked={"b"})
    plan = plan_sync(scan, manifest_of({"b": 10}), LIMITS, LAST)
    assert (work(plan), plan.is_rejected) == (([], [], ["b"]), True)
    assert {reason: row.paths for reason, row in plan.skipped.items()} == {
        "over_limit": ["a"],
        "link_over_limit": ["b"],
    }
    plan = plan_sync(scan, manifest_of(), KEEP, LAST)
    assert (plan.copy, list(plan.skipped)) == (["b"], ["over_limit"])

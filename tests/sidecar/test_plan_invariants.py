"""Invariants of the plan of a sync, for any job, manifest and context."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.file_signature import FileSignature, pack, size_of
from sidecar.limits import Limits
from sidecar.manifest import Manifest
from sidecar.plan import SyncContext, SyncPlan, plan_sync
from sidecar.scan import Scan

OFTEN = settings(deadline=None, max_examples=250)
NOW_NS = 1_700_000_000 * 10**9

PATH = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
SIGNATURE = st.builds(pack, st.integers(0, 12), st.just(0), st.sampled_from([0, NOW_NS]), st.integers(0, 1))
LIMITS = st.builds(Limits, st.integers(0, 5), st.integers(0, 30), st.booleans())
CONTEXT = st.builds(
    SyncContext,
    is_last=st.booleans(),
    is_eager=st.booleans(),
    now_ns=st.just(NOW_NS),
    monotonic_seconds=st.just(0.0),
    quiet_seconds=st.sampled_from([0.0, 2.0]),
)
EAGER_CONTEXT = CONTEXT.map(lambda context: replace(context, is_eager=True))


def without_conflicts(files: dict[str, FileSignature]) -> dict[str, FileSignature]:
    """Drop files in place of folders of other files, as in a file system."""
    return {
        path: signature for path, signature in files.items() if not any(other.startswith(path + "/") for other in files)
    }


FILES = st.dictionaries(PATH, SIGNATURE, max_size=6).map(without_conflicts)


@st.composite
def clear_scans(draw: st.DrawFn) -> Scan:
    files = draw(FILES)
    return Scan(exists=True, files=files, linked={path for path in files if draw(st.booleans())})


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    scan = draw(clear_scans())
    unseen = draw(st.sets(PATH | st.just(""), max_size=2)) - scan.files.keys()
    found = [*scan.files, *unseen]  # nothing below an uncertain folder was seen
    scan.uncertain = {path for path in unseen if not any(other.startswith(f"{path}/") for other in found)}
    scan.linked |= {path for path in scan.uncertain if path and draw(st.booleans())}
    scan.in_place = draw(st.dictionaries(PATH, st.integers(0, 12), max_size=2))
    scan.is_truncated = draw(st.booleans())
    return scan


CLEAR_SCAN, SCAN = clear_scans(), scans()


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    manifest = Manifest("job-1", "uid-1")
    for path, signature in draw(FILES).items():
        manifest.add_copy(path, signature, b"", size_of(signature), unstable=False)
    manifest.pending |= draw(st.sets(PATH, max_size=2))
    earlier = draw(st.dictionaries(PATH, SIGNATURE, max_size=2))
    manifest.earlier.update({path: signature for path, signature in earlier.items() if path not in manifest.records})
    return manifest


def apply_plan(plan: SyncPlan, scan: Scan, manifest: Manifest) -> None:
    for path in plan.remove_first + plan.remove:
        manifest.discard(path)
    for path in plan.copy:
        manifest.add_copy(path, scan.files[path], b"", size_of(scan.files[path]), unstable=False)


def is_uncertain(path: str, uncertain: set[str]) -> bool:
    return any(entry in ("", path) or path.startswith(entry + "/") for entry in uncertain)


def is_linked(path: str, scan: Scan) -> bool:
    """Whether the path is not an own file: a linked file, or a copy at or below an uncertain link."""
    return path in scan.linked or (path not in scan.files and is_uncertain(path, scan.uncertain & scan.linked))


@OFTEN
@given(SCAN, manifests(), LIMITS, CONTEXT)
def test_only_found_files_are_copied_and_only_own_copies_removed(
    scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext
) -> None:
    plan = plan_sync(scan, manifest, limits, context)
    removed = plan.remove_first + plan.remove
    assert plan.copy == sorted(set(plan.copy), key=lambda path: (path in scan.linked, path))
    assert set(plan.copy) <= scan.files.keys()
    assert set(removed) <= manifest.paths()
    assert len(set(removed)) == len(removed)
    assert not set(removed) & set(plan.copy)
    assert plan.is_rejected <= (plan.is_over_limit and context.is_last and not limits.keep)


@OFTEN
@given(SCAN, manifests(), LIMITS, CONTEXT)
def test_copies_of_this_pod_whose_files_are_uncertain_are_not_removed(
    scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext
) -> None:
    plan = plan_sync(scan, manifest, limits, context)
    if plan.is_rejected:
        return
    own = (manifest.records.keys() | manifest.pending) - manifest.earlier.keys()
    for path in own & {*plan.remove_first, *plan.remove}:
        if path in scan.files:  # found, but it does not fit
            assert path in scan.linked or (limits.keep and context.is_last)
        elif not is_linked(path, scan):
            assert not scan.is_truncated
            assert not is_uncertain(path, scan.uncertain - scan.linked)
            assert path not in scan.in_place


@OFTEN
@given(SCAN, manifests(), LIMITS, EAGER_CONTEXT)
def test_copies_never_exceed_the_limits(scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext) -> None:
    before = manifest.count()
    plan = plan_sync(scan, manifest, limits, context)
    apply_plan(plan, scan, manifest)
    after = manifest.count()
    if plan.is_rejected:
        assert not manifest.records
    assert after.files + plan.in_place.files <= limits.files or after.files <= before.files
    assert after.bytes + plan.in_place.bytes <= limits.bytes or after.bytes <= before.bytes
    if plan.copy:
        assert plan.spare_bytes + after.bytes + plan.in_place.bytes <= max(limits.bytes, after.bytes)


@OFTEN
@given(SCAN, manifests(), LIMITS, EAGER_CONTEXT)
def test_a_second_sync_has_nothing_to_do(scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext) -> None:
    plan = plan_sync(scan, manifest, limits, context)
    apply_plan(plan, scan, manifest)
    again = plan_sync(scan, manifest, limits, context, plan)
    assert (again.remove_first, again.copy, again.remove, again.deferred) == ([], [], [], {})
    assert (again.is_over_limit, again.is_rejected, again.found) == (plan.is_over_limit, plan.is_rejected, plan.found)


@OFTEN
@given(CLEAR_SCAN, manifests(), LIMITS)
def test_the_result_of_the_last_sync_depends_only_on_the_files(scan: Scan, manifest: Manifest, limits: Limits) -> None:
    last = SyncContext(is_last=True, is_eager=True, now_ns=NOW_NS, monotonic_seconds=0.0, quiet_seconds=2.0)
    fresh = Manifest("job-1", "uid-1")
    for current in (manifest, fresh):
        apply_plan(plan_sync(scan, current, limits, last), scan, current)
    assert manifest.records == fresh.records


@OFTEN
@given(CLEAR_SCAN, manifests(), LIMITS, CONTEXT)
def test_every_file_is_copied_unchanged_deferred_or_skipped(
    scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext
) -> None:
    plan = plan_sync(scan, manifest, limits, context)
    skipped = {path for row in plan.skipped.values() for path in row.paths}
    assert ("over_limit" in plan.skipped) <= plan.is_over_limit
    for path, signature in scan.files.items():
        is_copied = path not in manifest.pending and manifest.records.get(path, b"").startswith(signature)
        states = [path in plan.copy, path in plan.deferred, path in skipped]
        assert sum(states) == 1 or (is_copied and not any(states))


@OFTEN
@given(SCAN, manifests(), LIMITS, CONTEXT)
def test_linked_files_cost_the_own_files_nothing(
    scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext
) -> None:
    """The same own files are copied, skipped and kept as if there were no linked files and no copies of such files."""
    scan = replace(scan, in_place={path: size for path, size in scan.in_place.items() if not is_linked(path, scan)})
    own_scan = replace(
        scan,
        files={path: file for path, file in scan.files.items() if not is_linked(path, scan)},
        uncertain=scan.uncertain - scan.linked,
        linked=set(),
    )
    own_manifest = Manifest("job-1", "uid-1")
    for path, record in manifest.records.items():
        if not is_linked(path, scan):
            own_manifest.add_copy(path, record, b"", size_of(record), unstable=False)
    own_manifest.pending = {path for path in manifest.pending if not is_linked(path, scan)}
    own_manifest.earlier = dict(manifest.earlier)
    plan = plan_sync(scan, manifest, limits, context)
    own_plan = plan_sync(own_scan, own_manifest, limits, context)
    assert [path for path in plan.copy if path in own_scan.files] == own_plan.copy
    assert (plan.is_over_limit, plan.is_rejected) == (own_plan.is_over_limit, own_plan.is_rejected)
    assert plan.skipped.get("over_limit") == own_plan.skipped.get("over_limit")
    removed, own_removed = (
        {*each.remove_first, *each.remove} & own_manifest.records.keys() for each in (plan, own_plan)
    )
    assert removed == own_removed

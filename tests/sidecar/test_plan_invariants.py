"""The plan of a sync, whatever the job, the store and the moment are: what always holds."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import stamp
from sidecar.manifest import Manifest
from sidecar.plan import Limits, Moment, Plan, plan_sync
from sidecar.scan import Scan
from sidecar.stamp import Stamp

OFTEN = settings(deadline=None, max_examples=250)
NOW_NS = 1_700_000_000 * 10**9

PATH = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
MARK = st.builds(stamp.pack, st.integers(0, 12), st.just(0), st.sampled_from([0, NOW_NS]), st.integers(0, 1))
LIMITS = st.builds(Limits, st.integers(0, 5), st.integers(0, 30), st.booleans())
MOMENT = st.builds(
    Moment,
    last=st.booleans(),
    eager=st.booleans(),
    wall_ns=st.just(NOW_NS),
    clock=st.just(0.0),
    quiet_seconds=st.sampled_from([0.0, 2.0]),
)
THOROUGH_MOMENT = MOMENT.map(lambda moment: replace(moment, eager=True))


def without_conflicts(files: dict[str, Stamp]) -> dict[str, Stamp]:
    """As in a file system: what is a file is no folder."""
    return {path: mark for path, mark in files.items() if not any(other.startswith(path + "/") for other in files)}


FILES = st.dictionaries(PATH, MARK, max_size=6).map(without_conflicts)
CLEAR_SCAN = st.builds(Scan, exists=st.just(True), files=FILES)
SCAN = st.builds(
    Scan,
    exists=st.just(True),
    files=FILES,
    in_place=st.dictionaries(PATH, st.integers(0, 12), max_size=2),
    unsure=st.sets(PATH | st.just(""), max_size=2),
    truncated=st.booleans(),
).map(lambda scan: replace(scan, unsure={path for path in scan.unsure if path not in scan.files}))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    manifest = Manifest("job-1", "uid-1")
    for path, mark in draw(FILES).items():
        manifest.enter(path, mark, b"", stamp.size_of(mark), unstable=False)
    manifest.pending |= draw(st.sets(PATH, max_size=2))
    earlier = draw(st.dictionaries(PATH, MARK, max_size=2))
    manifest.earlier.update({path: mark for path, mark in earlier.items() if path not in manifest.records})
    return manifest


def apply(plan: Plan, scan: Scan, manifest: Manifest) -> None:
    for path in plan.clear + plan.remove:
        manifest.drop(path)
    for path in plan.copy:
        manifest.enter(path, scan.files[path], b"", stamp.size_of(scan.files[path]), unstable=False)


def is_unsure(path: str, unsure: set[str]) -> bool:
    return any(each in ("", path) or path.startswith(each + "/") for each in unsure)


@OFTEN
@given(SCAN, manifests(), LIMITS, MOMENT)
def test_only_what_was_found_is_copied_and_only_ours_removed(
    scan: Scan, manifest: Manifest, limits: Limits, moment: Moment
) -> None:
    plan = plan_sync(scan, manifest, limits, moment)
    removed = plan.clear + plan.remove
    assert plan.copy == sorted(set(plan.copy))
    assert set(plan.copy) <= scan.files.keys()
    assert set(removed) <= manifest.paths()
    assert len(set(removed)) == len(removed)
    assert not set(removed) & set(plan.copy)
    assert plan.rejected <= (plan.exceeded and moment.last and not limits.keep)


@OFTEN
@given(SCAN, manifests(), LIMITS, MOMENT)
def test_nothing_of_this_pod_is_removed_of_which_nothing_can_be_told(
    scan: Scan, manifest: Manifest, limits: Limits, moment: Moment
) -> None:
    plan = plan_sync(scan, manifest, limits, moment)
    if plan.rejected:
        return
    own = (manifest.records.keys() | manifest.pending) - manifest.earlier.keys()
    for path in own & {*plan.clear, *plan.remove}:
        if path in scan.files:  # there, but it does not fit
            assert limits.keep
            assert moment.last
        else:
            assert not scan.truncated
            assert not is_unsure(path, scan.unsure)
            assert path not in scan.in_place


@OFTEN
@given(SCAN, manifests(), LIMITS, THOROUGH_MOMENT)
def test_the_store_never_passes_the_limits_by_what_is_copied(
    scan: Scan, manifest: Manifest, limits: Limits, moment: Moment
) -> None:
    before = manifest.count()
    plan = plan_sync(scan, manifest, limits, moment)
    apply(plan, scan, manifest)
    after = manifest.count()
    if plan.rejected:
        assert not manifest.records
    assert after.files + plan.in_place.files <= limits.files or after.files <= before.files
    assert after.bytes + plan.in_place.bytes <= limits.bytes or after.bytes <= before.bytes
    if plan.copy:
        assert plan.spare_bytes + after.bytes + plan.in_place.bytes <= max(limits.bytes, after.bytes)


@OFTEN
@given(SCAN, manifests(), LIMITS, THOROUGH_MOMENT)
def test_a_second_sync_has_nothing_to_do(scan: Scan, manifest: Manifest, limits: Limits, moment: Moment) -> None:
    plan = plan_sync(scan, manifest, limits, moment)
    apply(plan, scan, manifest)
    again = plan_sync(scan, manifest, limits, moment, plan)
    assert (again.clear, again.copy, again.remove, again.waiting) == ([], [], [], {})
    assert (again.exceeded, again.rejected, again.found) == (plan.exceeded, plan.rejected, plan.found)


@OFTEN
@given(CLEAR_SCAN, manifests(), LIMITS)
def test_what_is_kept_at_the_end_depends_on_the_files_alone(scan: Scan, manifest: Manifest, limits: Limits) -> None:
    last = Moment(last=True, eager=True, wall_ns=NOW_NS, clock=0.0, quiet_seconds=2.0)
    fresh = Manifest("job-1", "uid-1")
    for each in (manifest, fresh):
        apply(plan_sync(scan, each, limits, last), scan, each)
    assert manifest.records == fresh.records


@OFTEN
@given(CLEAR_SCAN, manifests(), LIMITS, MOMENT)
def test_every_file_is_kept_copied_waiting_or_counted_as_left_out(
    scan: Scan, manifest: Manifest, limits: Limits, moment: Moment
) -> None:
    plan = plan_sync(scan, manifest, limits, moment)
    left_out = set(plan.skipped["over_limit"].paths) if plan.skipped else set()
    assert bool(left_out) <= plan.exceeded
    for path, mark in scan.files.items():
        whole = path not in manifest.pending and manifest.records.get(path, b"").startswith(mark)
        states = [path in plan.copy, path in plan.waiting, path in left_out]
        assert sum(states) == 1 or (whole and not any(states))

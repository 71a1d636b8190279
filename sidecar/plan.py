"""Plans a sync: computes the copies and removals from a scan and the manifest. Pure functions of data.

Only the job's own files can exceed the limits. Then `reject` collects none of its files, and `keep` collects the
files that fit, in byte order of their paths. While main runs, `reject` only pauses copies and removals, because the
excess may be a temporary file. Linked files (`Scan.linked`) get the room that the own files leave. They are copied
last, and their copies are removed if own files need the room.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from artifacts.report import Count, Skipped
from sidecar.file_signature import FileSignature, changed_at_ns
from sidecar.limits import Limits, Selector, add, count_files, exceeds, is_retained, parent_folders, subtract
from sidecar.manifest import Manifest
from sidecar.scan import Scan, add_skipped

MAX_DEFERRALS = 5  # a file that keeps changing is copied after it was deferred in this many syncs


@dataclass(frozen=True)
class SyncContext:
    """The circumstances of a sync. `is_last`: main has ended. `is_eager`: also copy files that may still be written.

    `now_ns` is UNIX time, to compare with change times; `monotonic_seconds` measures elapsed time.
    """

    is_last: bool
    is_eager: bool
    now_ns: int
    monotonic_seconds: float
    quiet_seconds: float


class DeferredFile(NamedTuple):
    """A changed file that may still be written to.

    `since`: when a sync first saw this signature, in monotonic seconds. `syncs`: how many syncs have deferred the file.
    """

    signature: FileSignature
    since: float
    syncs: int


@dataclass
class SyncPlan:
    """The work of a sync, in this order: `remove_first` (removals that make room for copies), `copy`, `remove`.

    `copy` lists own files first. `spare_bytes`: how much the copies may grow in total. `is_over_limit`: the job's own
    files exceed a limit. `is_rejected`: nothing is collected for that reason. `deferred`: files that a later sync will
    copy. `found`: own files that could be copied, and the linked files that fit. `in_place`: files that the job itself
    wrote to the job folder.
    """

    remove_first: list[str] = field(default_factory=list)
    copy: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    spare_bytes: int = 0
    is_over_limit: bool = False
    is_rejected: bool = False
    deferred: dict[str, DeferredFile] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    found: Count = field(default_factory=Count)
    in_place: Count = field(default_factory=Count)


def plan_sync(
    scan: Scan, manifest: Manifest, limits: Limits, context: SyncContext, previous: "SyncPlan | None" = None
) -> SyncPlan:
    """Plan one sync. `previous` is the plan of the previous sync, for the files that it deferred."""
    plan = SyncPlan()
    own_paths = manifest.paths() | scan.files.keys() if scan.in_place else frozenset()
    in_place = {path: size for path, size in scan.in_place.items() if path not in own_paths}
    plan.in_place = Count(len(in_place), sum(in_place.values()))
    own, linked = _split_files(scan)
    plan.found = count_files(own, scan)
    selector = Selector(scan, manifest, context.is_last)
    allowed = Count(limits.files - plan.in_place.files, limits.bytes - plan.in_place.bytes)
    room = selector.room_for_own_files(allowed)
    plan.is_over_limit = exceeds(plan.found, room)
    if plan.is_over_limit and not limits.keep:
        plan.is_rejected = context.is_last and exceeds(plan.found, allowed)
        return _reject(plan, own, linked, scan, manifest)
    deferred = previous.deferred if previous else {}
    own, room = selector.select_own(own, room) if plan.is_over_limit else (own, subtract(room, plan.found))
    _plan_copies(plan, own, manifest, context, deferred)
    linked, room = selector.select_linked(linked, room, _count_waiting(plan, scan, manifest))
    plan.found = add(plan.found, count_files(linked, scan))
    _plan_copies(plan, linked, manifest, context, deferred)
    plan.spare_bytes, plan.skipped = room.bytes, selector.skipped
    _plan_removals(plan, own | linked if linked else own, selector.obsolete, scan, manifest, context)
    return plan


def _split_files(scan: Scan) -> tuple[dict[str, FileSignature], dict[str, FileSignature]]:
    """Return the job's own files, and its linked files."""
    if not scan.linked:
        return scan.files, {}
    linked = {path: signature for path, signature in scan.files.items() if path in scan.linked}
    return {path: signature for path, signature in scan.files.items() if path not in linked}, linked


def _reject(
    plan: SyncPlan, own: dict[str, FileSignature], linked: dict[str, FileSignature], scan: Scan, manifest: Manifest
) -> SyncPlan:
    """Skip all files. If the job is rejected at its end, also plan to remove the copies that this pod made."""
    for reason, files in (("over_limit", own), ("link_over_limit", linked)):
        for path in sorted(files):
            add_skipped(plan.skipped, reason, path, scan.size_of(path))
    if plan.is_rejected:
        plan.remove = sorted({*manifest.records, *manifest.pending} - manifest.earlier.keys())
    return plan


def _count_waiting(plan: SyncPlan, scan: Scan, manifest: Manifest) -> Count:
    """Count the deferred files that have no copy yet."""
    new = [path for path in plan.deferred if path not in manifest.records]
    return Count(len(new), sum(map(scan.size_of, new)))


def _plan_copies(
    plan: SyncPlan,
    files: dict[str, FileSignature],
    manifest: Manifest,
    context: SyncContext,
    deferred: dict[str, DeferredFile],
) -> None:
    records, copy_all = manifest.records, context.is_last or context.is_eager
    copy_again = manifest.pending | manifest.unstable if copy_all else manifest.pending
    copies = []
    for path, signature in files.items():
        record = records.get(path)
        if record is not None and record.startswith(signature) and path not in copy_again:
            continue
        if copy_all:
            copies.append(path)
            continue
        file = _defer(signature, deferred.get(path), context)
        if _is_quiet(file, context) or file.syncs >= MAX_DEFERRALS:
            copies.append(path)
        else:
            plan.deferred[path] = file
    plan.copy += sorted(copies)


def _defer(signature: FileSignature, previous: DeferredFile | None, context: SyncContext) -> DeferredFile:
    if previous is None:
        return DeferredFile(signature, context.monotonic_seconds, 0)
    since = previous.since if previous.signature == signature else context.monotonic_seconds
    return DeferredFile(signature, since, previous.syncs + 1)


def _is_quiet(file: DeferredFile, context: SyncContext) -> bool:
    """Whether the file has not changed for `quiet_seconds`.

    Another machine's clock may have set the change time, so the time since we first saw the signature counts, too.
    """
    age = (context.now_ns - changed_at_ns(file.signature)) / 1e9
    return age >= context.quiet_seconds or context.monotonic_seconds - file.since >= context.quiet_seconds


def _plan_removals(
    plan: SyncPlan,
    files: dict[str, FileSignature],
    obsolete: set[str],
    scan: Scan,
    manifest: Manifest,
    context: SyncContext,
) -> None:
    """Plan to remove the `obsolete` copies, and the copies of files that no longer exist.

    In the last sync, also remove the copies of files that do not fit. `files` are the files that fit.
    """
    for path in sorted(manifest.records.keys() - files.keys() | manifest.pending - files.keys()):
        is_obsolete = context.is_last if path in scan.files else not is_retained(path, scan)
        if is_obsolete or path in obsolete:
            plan.remove.append(path)
    if plan.copy:
        _make_room(plan, obsolete, scan, manifest)


def _make_room(plan: SyncPlan, obsolete: set[str], scan: Scan, manifest: Manifest) -> None:
    """Plan to remove some copies before others are made: obsolete linked files, and files that obstruct a new copy.

    A file obstructs a copy if the copy needs a folder at the file's path, or the reverse.
    """
    copies = set(plan.copy)
    folders = {folder for path in copies for folder in parent_folders(path)}

    def is_obstructing(path: str) -> bool:
        return path in folders or any(folder in copies for folder in parent_folders(path))

    plan.remove_first = [path for path in plan.remove if path in obsolete or is_obstructing(path)]
    others = manifest.earlier.keys() - copies - scan.in_place.keys() - set(plan.remove)
    plan.remove_first += [path for path in sorted(others) if is_obstructing(path)]
    removed_first = set(plan.remove_first)
    plan.remove = [path for path in plan.remove if path not in removed_first]

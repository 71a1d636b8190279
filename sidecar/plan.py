"""Plans a sync: computes the copies and removals from a scan and the manifest. Pure functions of data.

If a job exceeds its limits, `reject` collects none of its files, and `keep` collects the files that fit, in byte order
of their paths. While main runs, `reject` only pauses copies and removals, because the excess may be a temporary file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from artifacts.report import Count, Skipped
from sidecar.file_signature import FileSignature, changed_at_ns, size_of
from sidecar.manifest import Manifest
from sidecar.scan import Scan, add_skipped

MAX_DEFERRALS = 5  # a file that keeps changing is copied after it was deferred in this many syncs


@dataclass(frozen=True)
class Limits:
    """The maximum number of files and bytes of a job. `keep`: over a limit, collect the files that fit, not none."""

    files: int
    bytes: int
    keep: bool


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

    `spare_bytes`: how much the copies may grow in total. `is_over_limit`: the job exceeds a limit.
    `is_rejected`: nothing is collected for that reason. `deferred`: files that a later sync will copy. `found`: files
    that could be copied. `in_place`: files that the job itself wrote to the job folder.
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
    files = scan.files
    own_paths = manifest.paths() | files.keys() if scan.in_place else frozenset()
    in_place = {path: size for path, size in scan.in_place.items() if path not in own_paths}
    plan.in_place = Count(len(in_place), sum(in_place.values()))
    plan.found = count_files(files)
    allowed = Count(limits.files - plan.in_place.files, limits.bytes - plan.in_place.bytes)
    retained = _count_retained(scan, manifest)
    room = Count(allowed.files - retained.files, allowed.bytes - retained.bytes)
    plan.is_over_limit = _exceeds(plan.found, room)
    plan.spare_bytes = room.bytes - plan.found.bytes
    if plan.is_over_limit and not limits.keep:
        plan.is_rejected = context.is_last and _exceeds(plan.found, allowed)
        return _reject(plan, files, manifest)
    if plan.is_over_limit:
        files = _select_fitting(plan, files, manifest, room, context)
    _plan_copies(plan, files, manifest, context, previous.deferred if previous else {})
    _plan_removals(plan, files, scan, manifest, context)
    return plan


def count_files(files: dict[str, FileSignature]) -> Count:
    """Return the number of files and their total size."""
    return Count(len(files), sum(map(size_of, files.values())))


def _exceeds(found: Count, room: Count) -> bool:
    return found.files > room.files or found.bytes > room.bytes


def _count_retained(scan: Scan, manifest: Manifest) -> Count:
    """Count the copies that are retained although the scan did not find their files.

    They count towards the limits. Otherwise a job could fill the store by hiding its files after they have been copied.
    """
    if not (scan.is_truncated or scan.uncertain or scan.in_place):
        return Count()
    retained = [path for path in manifest.records.keys() - scan.files.keys() if _is_retained(path, scan)]
    return Count(len(retained), sum(size_of(manifest.records[path]) for path in retained))


def _is_retained(path: str, scan: Scan) -> bool:
    """Whether to retain the copy of a file that the scan did not find.

    The file may exist nevertheless, or the artifacts folder may link to the copy.
    """
    return scan.is_truncated or path in scan.in_place or _is_uncertain(path, scan.uncertain)


def _reject(plan: SyncPlan, files: dict[str, FileSignature], manifest: Manifest) -> SyncPlan:
    """Skip all files. If the job is rejected at its end, also plan to remove the copies that this pod made."""
    for path in sorted(files):
        add_skipped(plan.skipped, "over_limit", path, size_of(files[path]))
    if plan.is_rejected:
        plan.remove = sorted({*manifest.records, *manifest.pending} - manifest.earlier.keys())
    return plan


def _select_fitting(
    plan: SyncPlan, files: dict[str, FileSignature], manifest: Manifest, room: Count, context: SyncContext
) -> dict[str, FileSignature]:
    """Return the files that fit into `room`.

    In the last sync, only the byte order of the paths decides. While main runs, existing copies have precedence: first
    files that did not grow, then files that grew, then new files. A copy counts with its old size until its file fits.
    """
    copied: dict[str, int] = {}
    if not context.is_last:
        copied = {path: size_of(manifest.records[path]) for path in manifest.records.keys() & files.keys()}
    sizes = {path: size_of(files[path]) for path in sorted(files)}  # the order of str is the byte order in UTF-8
    remaining = Count(room.files - len(copied), room.bytes - sum(copied.values()))
    fitting: dict[str, FileSignature] = {}
    for path in sorted(sizes, key=lambda path: (path not in copied, sizes[path] > copied.get(path, sizes[path]))):
        more_files, more_bytes = int(path not in copied), sizes[path] - copied.get(path, 0)
        bytes_fit = more_bytes <= remaining.bytes or (path in copied and more_bytes <= 0)
        if more_files <= max(0, remaining.files) and bytes_fit:
            fitting[path] = files[path]
            remaining.files, remaining.bytes = remaining.files - more_files, remaining.bytes - more_bytes
        else:
            add_skipped(plan.skipped, "over_limit", path, sizes[path])
    plan.spare_bytes = remaining.bytes
    return fitting


def _plan_copies(
    plan: SyncPlan,
    files: dict[str, FileSignature],
    manifest: Manifest,
    context: SyncContext,
    deferred: dict[str, DeferredFile],
) -> None:
    records, copy_all = manifest.records, context.is_last or context.is_eager
    copy_again = manifest.pending | manifest.unstable if copy_all else manifest.pending
    for path, signature in files.items():
        record = records.get(path)
        if record is not None and record.startswith(signature) and path not in copy_again:
            continue
        if copy_all:
            plan.copy.append(path)
            continue
        file = _defer(signature, deferred.get(path), context)
        if _is_quiet(file, context) or file.syncs >= MAX_DEFERRALS:
            plan.copy.append(path)
        else:
            plan.deferred[path] = file
    plan.copy.sort()


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
    plan: SyncPlan, files: dict[str, FileSignature], scan: Scan, manifest: Manifest, context: SyncContext
) -> None:
    """Plan to remove the copies of files that no longer exist and, in the last sync, of files that do not fit."""
    for path in sorted(manifest.records.keys() - files.keys() | manifest.pending - files.keys()):
        is_obsolete = context.is_last if path in scan.files else not _is_retained(path, scan)
        if is_obsolete:
            plan.remove.append(path)
    if plan.copy:
        _make_room(plan, scan, manifest)


def _make_room(plan: SyncPlan, scan: Scan, manifest: Manifest) -> None:
    """Plan to remove first the files that obstruct a copy: a file at the path of a needed folder, or the reverse."""
    copies = set(plan.copy)
    folders = {folder for path in copies for folder in _parent_folders(path)}

    def is_obstructing(path: str) -> bool:
        return path in folders or any(folder in copies for folder in _parent_folders(path))

    plan.remove_first = [path for path in plan.remove if is_obstructing(path)]
    others = manifest.earlier.keys() - copies - scan.in_place.keys() - set(plan.remove)
    plan.remove_first += [path for path in sorted(others) if is_obstructing(path)]
    removed_first = set(plan.remove_first)
    plan.remove = [path for path in plan.remove if path not in removed_first]


def _parent_folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_uncertain(path: str, uncertain: set[str]) -> bool:
    if not uncertain:
        return False
    return "" in uncertain or path in uncertain or any(folder in uncertain for folder in _parent_folders(path))

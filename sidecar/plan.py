"""Plans a sync: computes the copies and removals from a scan and the manifest. Pure functions of data.

Only the job's own content can exceed the limits. Then `reject` collects none of its files, and `keep` collects the
files that fit, in byte order of their paths. While main runs, `reject` only pauses copies and removals, because the
excess may be a temporary file. Linked files (`Scan.linked`) get the room that is left, are copied last, and make room
again if the own files need it.
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
    plan.found = count_files(own)
    allowed = Count(limits.files - plan.in_place.files, limits.bytes - plan.in_place.bytes)
    retained = _find_retained(scan, manifest)
    retained_linked = _select_below_links(retained, scan)
    room = _subtract(allowed, _count_copies(retained, manifest))
    room = _add(room, _count_copies(retained_linked, manifest))
    plan.is_over_limit = _exceeds(plan.found, room)
    if plan.is_over_limit and not limits.keep:
        plan.is_rejected = context.is_last and _exceeds(plan.found, allowed)
        return _reject(plan, own, linked, manifest)
    deferred = previous.deferred if previous else {}
    remaining = _subtract(room, plan.found)
    if plan.is_over_limit:
        own, remaining = _select_fitting(plan, own, manifest, room, context)
    _plan_copies(plan, own, manifest, context, deferred)
    obsolete: set[str] = set()
    if linked or retained_linked:
        fitting, obsolete = _select_linked(plan, linked, retained_linked, manifest, remaining, context)
        plan.found = _add(plan.found, count_files(fitting))
        _plan_copies(plan, fitting, manifest, context, deferred)
        own = own | fitting
    else:
        plan.spare_bytes = remaining.bytes
    _plan_removals(plan, own, obsolete, scan, manifest, context)
    return plan


def _split_files(scan: Scan) -> tuple[dict[str, FileSignature], dict[str, FileSignature]]:
    """Return the job's own files, and its linked files."""
    if not scan.linked:
        return scan.files, {}
    linked = {path: signature for path, signature in scan.files.items() if path in scan.linked}
    return {path: signature for path, signature in scan.files.items() if path not in linked}, linked


def count_files(files: dict[str, FileSignature]) -> Count:
    """Return the number of files and their total size."""
    return Count(len(files), sum(map(size_of, files.values())))


def _exceeds(found: Count, room: Count) -> bool:
    return found.files > room.files or found.bytes > room.bytes


def _add(count: Count, other: Count) -> Count:
    return Count(count.files + other.files, count.bytes + other.bytes)


def _subtract(count: Count, other: Count) -> Count:
    return Count(count.files - other.files, count.bytes - other.bytes)


def _count_copies(paths: list[str], manifest: Manifest) -> Count:
    return Count(len(paths), sum(size_of(manifest.records[path]) for path in paths))


def _find_retained(scan: Scan, manifest: Manifest) -> list[str]:
    """Return the copies that are retained although the scan did not find their files.

    They count towards the limits. Otherwise a job could fill the store by hiding its files after they have been copied.
    """
    if not (scan.is_truncated or scan.uncertain or scan.in_place):
        return []
    return [path for path in manifest.records.keys() - scan.files.keys() if _is_retained(path, scan)]


def _is_retained(path: str, scan: Scan) -> bool:
    """Whether to retain the copy of a file that the scan did not find.

    The file may exist nevertheless, or the artifacts folder may link to the copy.
    """
    return scan.is_truncated or path in scan.in_place or _is_uncertain(path, scan.uncertain)


def _select_below_links(retained: list[str], scan: Scan) -> list[str]:
    """Return the retained copies that are not of the job's own content: those at or below an uncertain link."""
    uncertain_links = scan.uncertain & scan.linked
    if not uncertain_links:
        return []
    return [path for path in retained if path not in scan.in_place and _is_uncertain(path, uncertain_links)]


def _reject(
    plan: SyncPlan, own: dict[str, FileSignature], linked: dict[str, FileSignature], manifest: Manifest
) -> SyncPlan:
    """Skip all files. If the job is rejected at its end, also plan to remove the copies that this pod made."""
    for reason, files in (("over_limit", own), ("link_over_limit", linked)):
        for path in sorted(files):
            add_skipped(plan.skipped, reason, path, size_of(files[path]))
    if plan.is_rejected:
        plan.remove = sorted({*manifest.records, *manifest.pending} - manifest.earlier.keys())
    return plan


def _select_fitting(
    plan: SyncPlan, files: dict[str, FileSignature], manifest: Manifest, room: Count, context: SyncContext
) -> tuple[dict[str, FileSignature], Count]:
    """Return the own files that fit into `room`, and the room that remains.

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
    return fitting, remaining


def _select_linked(
    plan: SyncPlan,
    files: dict[str, FileSignature],
    retained: list[str],
    manifest: Manifest,
    remaining: Count,
    context: SyncContext,
) -> tuple[dict[str, FileSignature], set[str]]:
    """Return the linked files that fit into the `remaining` room, and the copies of those that do not.

    `retained` copies, which cannot be made again, come first, then the files in byte order of their paths. While main
    runs, files with copies have precedence over new ones, and a copy makes room only for a copy of this sync: an own
    file that is deferred may be temporary.
    """
    waiting = Count(0, 0) if context.is_last else _count_waiting(plan, manifest)
    fitting: dict[str, FileSignature] = {}
    obsolete: set[str] = set()

    def has_room(size: int, extra: Count) -> bool:
        return remaining.files + extra.files >= 1 and remaining.bytes + extra.bytes >= size

    def is_new(path: str) -> bool:
        return not context.is_last and path not in manifest.records

    for path in [*sorted(retained), *sorted(files, key=lambda path: (is_new(path), path))]:
        record, signature = manifest.records.get(path), files.get(path)
        is_current = record is not None and (signature is None or record.startswith(signature))
        size = size_of(signature or record or b"")
        if has_room(size, waiting if is_current else Count()):
            remaining = _subtract(remaining, Count(1, size))
            if signature is not None:
                fitting[path] = signature
        else:
            add_skipped(plan.skipped, "link_over_limit", path, size)
            obsolete.add(path)
    plan.spare_bytes = remaining.bytes
    return fitting, obsolete


def _count_waiting(plan: SyncPlan, manifest: Manifest) -> Count:
    """Count the room of deferred files that have no copy yet."""
    new = [file.signature for path, file in plan.deferred.items() if path not in manifest.records]
    return Count(len(new), sum(map(size_of, new)))


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
    """Plan to remove `obsolete` copies, copies of files that no longer exist and, in the last sync, that do not fit.

    `files` are the files that fit.
    """
    for path in sorted(manifest.records.keys() - files.keys() | manifest.pending - files.keys()):
        is_obsolete = context.is_last if path in scan.files else not _is_retained(path, scan)
        if is_obsolete or path in obsolete:
            plan.remove.append(path)
    if plan.copy:
        _make_room(plan, obsolete, scan, manifest)


def _make_room(plan: SyncPlan, obsolete: set[str], scan: Scan, manifest: Manifest) -> None:
    """Plan to remove first the copies of linked files that take room, and the files that obstruct a copy.

    A file obstructs a copy at the path of a needed folder, or the reverse.
    """
    copies = set(plan.copy)
    folders = {folder for path in copies for folder in _parent_folders(path)}

    def is_obstructing(path: str) -> bool:
        return path in folders or any(folder in copies for folder in _parent_folders(path))

    plan.remove_first = [path for path in plan.remove if path in obsolete or is_obstructing(path)]
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

"""Planning a sync: from what a scan found and what the manifest says to what has to be done. Pure functions of data.

Limits: past them, `reject` keeps nothing of the job and `keep` keeps what fits, in byte order of the paths. While
main runs a job that is over the limit is only frozen, for a temporary file must not cost it the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from artifacts.report import Count, Skipped
from sidecar import stamp
from sidecar.manifest import Manifest
from sidecar.scan import Scan, add_skipped
from sidecar.stamp import Stamp

RESTLESS_SYNCS = 5  # a file that never rests is copied when it has waited for so many syncs


@dataclass(frozen=True)
class Limits:
    """Most files and bytes of a job; `keep`: past them keep what fits."""

    files: int
    bytes: int
    keep: bool


@dataclass(frozen=True)
class Moment:
    """When a sync is planned. `last`: main has ended. `eager`: copy also what may still be written to.

    `wall_ns` is UNIX time, to hold against change times; `clock` is monotonic seconds, to see time pass with.
    """

    last: bool
    eager: bool
    wall_ns: int
    clock: float
    quiet_seconds: float


class Waiting(NamedTuple):
    """A changed file that is not at rest: what it looked like, since when (monotonic seconds), and how many syncs
    it has waited for."""

    mark: Stamp
    since: float
    syncs: int


@dataclass
class Plan:
    """What to do, in this order: clear (removals that make room for copies), copy, remove.

    `spare_bytes`: what the copies may grow in all. `exceeded`: over the limit; `rejected`: so nothing is kept.
    `waiting`: what was left for a later sync. `found`: files that could be copied; `in_place`: files that lie
    in the job folder already and are not the collector's.
    """

    clear: list[str] = field(default_factory=list)
    copy: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    spare_bytes: int = 0
    exceeded: bool = False
    rejected: bool = False
    waiting: dict[str, Waiting] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    found: Count = field(default_factory=Count)
    in_place: Count = field(default_factory=Count)


def plan_sync(scan: Scan, manifest: Manifest, limits: Limits, moment: Moment, before: "Plan | None" = None) -> Plan:
    """Plan one sync; `before` is the plan of the sync before it, which knows what has been waiting."""
    plan = Plan()
    files = scan.files
    own = manifest.paths() | files.keys() if scan.in_place else frozenset()
    in_place = {path: size for path, size in scan.in_place.items() if path not in own}
    plan.in_place = Count(len(in_place), sum(in_place.values()))
    plan.found = count_files(files)
    allowed = Count(limits.files - plan.in_place.files, limits.bytes - plan.in_place.bytes)
    held = _held(scan, manifest)
    room = Count(allowed.files - held.files, allowed.bytes - held.bytes)
    plan.exceeded = _exceeds(plan.found, room)
    plan.spare_bytes = room.bytes - plan.found.bytes
    if plan.exceeded and not limits.keep:
        plan.rejected = moment.last and _exceeds(plan.found, allowed)
        return _over_limit(plan, files, manifest)
    if plan.exceeded:
        files = _fit(plan, files, manifest, room, moment)
    _plan_copies(plan, files, manifest, moment, before.waiting if before else {})
    _plan_removals(plan, files, scan, manifest, moment)
    return plan


def _exceeds(found: Count, room: Count) -> bool:
    return found.files > room.files or found.bytes > room.bytes


def count_files(files: dict[str, Stamp]) -> Count:
    """How many files there are, and the bytes in them."""
    return Count(len(files), sum(map(stamp.size_of, files.values())))


def _held(scan: Scan, manifest: Manifest) -> Count:
    """Copies that stay though their files were not found: they count, or a job could hide files to make room."""
    if not (scan.truncated or scan.unsure or scan.in_place):
        return Count()
    stay = [path for path in manifest.records.keys() - scan.files.keys() if _stays(path, scan)]
    return Count(len(stay), sum(stamp.size_of(manifest.records[path]) for path in stay))


def _stays(path: str, scan: Scan) -> bool:
    """Whether the copy of a file that was not found stays: nothing can be told, or the job sees the copy itself."""
    return scan.truncated or path in scan.in_place or _is_unsure(path, scan.unsure)


def _over_limit(plan: Plan, files: dict[str, Stamp], manifest: Manifest) -> Plan:
    """Freeze the job folder, or empty it where that is sure to be right."""
    for path in sorted(files):
        add_skipped(plan.skipped, "over_limit", path, stamp.size_of(files[path]))
    if plan.rejected:
        plan.remove = sorted({*manifest.records, *manifest.pending} - manifest.earlier.keys())
    return plan


def _fit(plan: Plan, files: dict[str, Stamp], manifest: Manifest, room: Count, moment: Moment) -> dict[str, Stamp]:
    """The files that fit. At the end only the order counts; while main runs, what has been copied keeps its place,
    and counts as it is until its file fits: those that grow come after those that do not, and before new ones."""
    kept: dict[str, int] = {}
    if not moment.last:
        kept = {path: stamp.size_of(manifest.records[path]) for path in manifest.records.keys() & files.keys()}
    sizes = {path: stamp.size_of(files[path]) for path in sorted(files)}  # of text: the byte order of its UTF-8
    left = Count(room.files - len(kept), room.bytes - sum(kept.values()))
    fitting: dict[str, Stamp] = {}
    for path in sorted(sizes, key=lambda path: (path not in kept, sizes[path] > kept.get(path, sizes[path]))):
        files_more, bytes_more = int(path not in kept), sizes[path] - kept.get(path, 0)
        if files_more <= max(0, left.files) and (bytes_more <= left.bytes or (path in kept and bytes_more <= 0)):
            fitting[path] = files[path]
            left.files, left.bytes = left.files - files_more, left.bytes - bytes_more
        else:
            add_skipped(plan.skipped, "over_limit", path, sizes[path])
    plan.spare_bytes = left.bytes
    return fitting


def _plan_copies(
    plan: Plan, files: dict[str, Stamp], manifest: Manifest, moment: Moment, before: dict[str, Waiting]
) -> None:
    records, everything = manifest.records, moment.last or moment.eager
    again = manifest.pending | manifest.unstable if everything else manifest.pending
    for path, mark in files.items():
        record = records.get(path)
        if record is not None and record.startswith(mark) and path not in again:
            continue
        if everything:
            plan.copy.append(path)
            continue
        waiting = _wait(mark, before.get(path), moment)
        if _is_quiet(mark, waiting, moment) or waiting.syncs >= RESTLESS_SYNCS:
            plan.copy.append(path)
        else:
            plan.waiting[path] = waiting
    plan.copy.sort()


def _wait(mark: Stamp, before: Waiting | None, moment: Moment) -> Waiting:
    if before is None:
        return Waiting(mark, moment.clock, 0)
    since = before.since if before.mark == mark else moment.clock
    return Waiting(mark, since, before.syncs + 1)


def _is_quiet(mark: Stamp, waiting: Waiting, moment: Moment) -> bool:
    """By the file's own change time, or, where another machine's clock made that, by what we have seen ourselves."""
    age = (moment.wall_ns - stamp.changed_ns(mark)) / 1e9
    return age >= moment.quiet_seconds or moment.clock - waiting.since >= moment.quiet_seconds


def _plan_removals(plan: Plan, files: dict[str, Stamp], scan: Scan, manifest: Manifest, moment: Moment) -> None:
    """Remove copies of what is gone. Of what cannot be told, or does not fit only for now, the copy stays."""
    for path in sorted(manifest.records.keys() - files.keys() | manifest.pending - files.keys()):
        if moment.last if path in scan.files else not _stays(path, scan):
            plan.remove.append(path)
    if plan.copy:
        _make_room(plan, scan, manifest)


def _make_room(plan: Plan, scan: Scan, manifest: Manifest) -> None:
    """Move to `clear` what stands where a copy needs a folder, or in a folder where a copy needs its place."""
    copies = set(plan.copy)
    folders = {folder for path in copies for folder in _folders(path)}

    def in_the_way(path: str) -> bool:
        return path in folders or any(folder in copies for folder in _folders(path))

    plan.clear = [path for path in plan.remove if in_the_way(path)]
    others = manifest.earlier.keys() - copies - scan.in_place.keys() - set(plan.remove)
    plan.clear += [path for path in sorted(others) if in_the_way(path)]
    cleared = set(plan.clear)
    plan.remove = [path for path in plan.remove if path not in cleared]


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_unsure(path: str, unsure: set[str]) -> bool:
    return bool(unsure) and ("" in unsure or path in unsure or any(folder in unsure for folder in _folders(path)))

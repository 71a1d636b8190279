"""The context of one GraphQL request: the caller, the services, and what the request has read from the store so far."""

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

from api import listing, manifest
from api.auth.caller import Caller
from api.definitions.definition import InstanceTypeDefinition
from api.errors import ApiError, TooLarge
from api.folder import JobFolder
from api.jobs.job import Job, collected_files
from api.listing import FileListing, FilePage, FileQuery
from api.monitoring import MAX_BYTES as MAX_MONITORING_BYTES
from api.monitoring import parse_monitoring
from api.retention.expiry import Retention
from api.schema.budget import FILE_ENTRIES, Budget
from api.services import Services
from api.store.store import FileMissing, Item, OnRead
from api.usage import UsageCache
from artifacts.errors import InvalidDocument
from artifacts.layout import LEGACY_MONITORING, REPORT
from artifacts.log import get_logger
from artifacts.report import MAX_BYTES, Report, read_report

logger = get_logger(__name__)

_FIRST_PAGE = listing.MAX_PAGE_SIZE - 1  # with the file that shows whether there are more, one page of a bucket

_LEGACY_MONITORING_ENTRY_BYTES = 16  # as many bytes count as one entry: a request cannot read many large files

T = TypeVar("T")


@dataclass(frozen=True)
class RequestContext:
    """The `context` argument of the resolvers."""

    caller: Caller
    services: Services
    usage: UsageCache
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def folders(self) -> "FolderReader":
        """The request's reader of job folders."""
        return FolderReader(self.services, self.budget)

    @cached_property
    def instance_types_by_name(self) -> Mapping[str, InstanceTypeDefinition]:
        """The known instance types by name."""
        return {definition.name: definition for definition in self.services.definitions.instance_types()}


class FolderReader:
    """Reads job folders for one request: caches every result, and charges the request's budget once for each.

    `prefix` is a job folder's. Methods raise StoreError, and TooLarge if the budget is spent.
    """

    def __init__(self, services: Services, budget: Budget) -> None:
        self._services, self._store, self._budget = services, services.store, budget
        self._cache: dict[Hashable, object] = {}
        self._listings: dict[Hashable, tuple[list[Item], bool]] = {}

    def retention(self, folder: JobFolder) -> Retention:
        """Return the retention of the artifacts. Charges for the folder."""
        return self._cached(("retention", folder.prefix), lambda: self._read_retention(folder))

    def report(self, folder: JobFolder) -> Report | None:
        """Return the collector's report, or None if it is missing or invalid. Charges for the folder."""
        self._charge_folder(folder)
        return self._cached(("report", folder.prefix), lambda: self._read_report(folder.prefix))

    def monitoring(self, folder: JobFolder) -> dict[str, Any] | None:
        """Return what PrimeHub's monitoring agent recorded; None if it is missing, invalid or has expired."""
        if self.retention(folder).has_expired(self._services.clock()):
            return None
        return self._cached(("monitoring", folder.prefix), lambda: self._read_monitoring(folder.prefix))

    def is_running(self, job: Job) -> bool:
        """Whether main or the sidecar may still run."""
        is_collecting = self._services.jobs.is_collecting
        return not job.has_ended or self._cached(("running", job.id), lambda: is_collecting(job))

    def is_missing(self, folder: JobFolder) -> bool:
        """Whether the job's artifacts have not expired, but none of the collected files is in the store any more.

        Annotates the PhJob if that has changed, so that lists of jobs, which do not read the store, agree.
        """
        return self._cached(("missing", folder.prefix), lambda: self._find_missing(folder))

    def files(self, prefix: str, folder: str = "", *, recursive: bool = True) -> FileListing:
        """Return all files below `folder`, or the first MAX_FILES of them."""
        items, complete = self.first_files(prefix, folder, listing.MAX_FILES, recursive=recursive)
        return FileListing(items, complete)

    def page(self, prefix: str, query: FileQuery) -> FilePage:
        """Return a page of files. Raises BadInput if the cursor is invalid, TooLarge if too many must be sorted."""
        after = listing.decode_cursor(query)[1] if query.after else ""
        if query.needs_all_files:
            return listing.take_page(self._sorted_files(prefix, query), query)
        items, complete = self.first_files(prefix, query.folder, query.first, after=after, recursive=query.recursive)
        return FilePage(items, not complete)

    def file(self, prefix: str, path: str) -> Item | None:
        """Return the file at `path`, a valid path in a job folder, or None if it does not exist."""
        return self._cached(("file", prefix, path), lambda: self._stat_file(prefix, path))

    def count(self, prefix: str, query: FileQuery) -> int | None:
        """Count the files of all pages of the query; None if there are too many to count."""
        files = self.files(prefix, query.folder, recursive=query.recursive)
        if not files.complete:
            return None
        return len(self._sorted_files(prefix, query)) if query.search else len(files.items)

    def first_files(
        self, prefix: str, folder: str, limit: int, *, after: str = "", recursive: bool = True
    ) -> tuple[list[Item], bool]:
        """Return the first `limit` files after `after`, and whether there are no more."""
        key = (prefix, folder, after, recursive)
        items, complete = self._listings.get(key, ([], False))
        if len(items) <= limit and not complete:
            items, complete = self._listings[key] = self._list_files(prefix, folder, limit, after, recursive)
        return items[:limit], len(items) <= limit

    def exists(self, prefix: str) -> bool:
        """Whether the job folder has any file, the collector's own included."""
        return self._cached(("exists", prefix), lambda: any(True for _ in self._list(prefix)))

    def subfolders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below any prefix."""
        return self._cached(("subfolders", prefix), lambda: self._list_subfolders(prefix))

    def digests(self, prefix: str, sizes: Mapping[str, int]) -> dict[str, str]:
        """Return sha256 by path for the files in `sizes` whose manifest entry has the same size."""
        key = ("digests", prefix, frozenset(sizes.items()))
        return self._cached(key, lambda: manifest.read_digests(self._store, prefix, sizes, self._begin_reading()))

    def source_times(self, prefix: str, items: Sequence[Item]) -> dict[str, float]:
        """Return the modification times of the job's own files by path, for `items` of a job folder.

        A store may have only the times of the copies. Files without a matching entry in the manifest are left out.
        """
        sizes = {item.name: item.size for item in items if item.size is not None}
        return self._cached(("times", prefix, frozenset(sizes)), lambda: self._read_times(prefix, sizes))

    def totals(self, prefix: str) -> manifest.ManifestTotals | None:
        """Return the manifest's totals, or None if it cannot be read."""
        return self._cached(
            ("totals", prefix), lambda: manifest.read_totals(self._store, prefix, self._begin_reading())
        )

    def _charge_folder(self, folder: JobFolder) -> None:
        self._cached(("charged", folder.prefix), self._budget.charge_folders)

    def _stat_file(self, prefix: str, path: str) -> Item | None:
        self._begin_reading()(FILE_ENTRIES)
        try:
            stat = self._store.stat(prefix + path)
        except FileMissing:
            return None
        return Item(path, stat.size, stat.modified_at, stat.modified_at)

    def _read_retention(self, folder: JobFolder) -> Retention:
        self._charge_folder(folder)
        return self._services.retention.get(folder)

    def _read_report(self, prefix: str) -> Report | None:
        try:
            return read_report(self._store.read(prefix + REPORT, MAX_BYTES))
        except (FileMissing, InvalidDocument):
            return None

    def _read_monitoring(self, prefix: str) -> dict[str, Any] | None:
        on_read = self._begin_reading()
        try:
            content = self._store.read(prefix + LEGACY_MONITORING, MAX_MONITORING_BYTES)
        except (FileMissing, InvalidDocument):
            return None
        on_read(len(content) // _LEGACY_MONITORING_ENTRY_BYTES)
        return parse_monitoring(content)

    def _find_missing(self, folder: JobFolder) -> bool:
        job, report = folder.phjob, self.report(folder)
        may_run = (report is None or not report.sealed_at) if job is None else not job.has_ended
        collected = report.collected.files + report.in_place.files if report else collected_files(job).files
        if may_run or not collected or self.retention(folder).has_expired(self._services.clock()):
            return False
        is_missing = not self.first_files(folder.prefix, "", _FIRST_PAGE)[0]
        if job is None or is_missing == job.is_annotated_as_missing:
            return is_missing
        if is_missing and self.is_running(job):
            return False
        self._annotate_missing(job, is_missing)
        return is_missing

    def _annotate_missing(self, job: Job, is_missing: bool) -> None:
        try:
            self._services.jobs.annotate_missing(job, int(self._services.clock()) if is_missing else 0)
        except ApiError as error:
            logger.warning("missing artifacts not annotated", group=job.group, job=job.id, error=error)

    def _read_times(self, prefix: str, sizes: Mapping[str, int]) -> dict[str, float]:
        try:
            return manifest.read_times(self._store, prefix, sizes, self._begin_reading()) if sizes else {}
        except TooLarge:  # the budget is spent: use the times of the copies
            return {}

    def _sorted_files(self, prefix: str, query: FileQuery) -> list[Item]:
        all_pages = replace(query, first=0, after="")
        return self._cached(("sorted", prefix, all_pages), lambda: self._sort_files(prefix, all_pages))

    def _sort_files(self, prefix: str, query: FileQuery) -> list[Item]:
        files = self.files(prefix, query.folder, recursive=query.recursive)
        if not files.complete:
            raise TooLarge(
                f"more than {listing.MAX_FILES} files cannot be sorted or searched: leave out orderBy and search, "
                "or name a folder as prefix"
            )
        self._begin_reading()(len(files.items))
        return listing.search_and_sort(self._with_source_times(prefix, query, files.items), query)

    def _with_source_times(self, prefix: str, query: FileQuery, items: list[Item]) -> list[Item]:
        if query.order != "lastModified":
            return items
        times = self.source_times(prefix, items)
        return [item._replace(modified_at=times.get(item.name, item.modified_at)) for item in items]

    def _list_files(self, prefix: str, folder: str, limit: int, after: str, recursive: bool) -> tuple[list[Item], bool]:
        artifacts = listing.list_artifacts(self._list, prefix, folder, after=after, recursive=recursive)
        items = list(itertools.islice(artifacts, limit + 1))
        self._budget.charge_entries(FILE_ENTRIES * len(items))
        return items, len(items) <= limit

    def _list_subfolders(self, prefix: str) -> list[str]:
        return [item.name[:-1] for item in self._list(prefix, recursive=False) if item.size is None]

    def _list(self, prefix: str, *, after: str = "", recursive: bool = True) -> Iterator[Item]:
        return self._store.list(prefix, after=after, recursive=recursive, on_read=self._begin_reading())

    def _begin_reading(self) -> OnRead:
        """Charge for one more listing or file; return the callback that charges for its entries."""
        self._budget.begin_reading()
        return self._budget.charge_entries

    def _cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = compute()
        return cast(T, self._cache[key])

"""What one request sees of job folders in the store: each thing once, however often it asks; and what that costs it."""

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from api import listing, manifest
from api.errors import TooLarge
from api.folder import JobFolder
from api.jobs.job import Job
from api.listing import Files, Page, Wanted
from api.retention.expiry import Retention
from api.schema.budget import FILE_ENTRIES, Budget
from api.services import Services
from api.store.store import FileMissing, Item, OnRead
from artifacts.errors import InvalidDocument
from artifacts.layout import REPORT
from artifacts.report import MAX_BYTES, Report, read_report

T = TypeVar("T")


class Sight:
    """Methods raise StoreError, and TooLarge where the budget is spent. `prefix`: a job folder's."""

    def __init__(self, services: Services, budget: Budget) -> None:
        self._services, self._store, self._budget = services, services.store, budget
        self._seen: dict[Hashable, object] = {}
        self._listings: dict[Hashable, tuple[list[Item], bool]] = {}

    def term(self, folder: JobFolder) -> Retention:
        """Until when it is kept. The first look into a folder counts as one."""
        return self._once(("term", folder.prefix), lambda: self._term(folder))

    def report(self, folder: JobFolder) -> Report | None:
        """The collector's, where it can be read."""
        self.enter(folder)
        return self._once(("report", folder.prefix), lambda: self._report(folder.prefix))

    def is_running(self, job: Job) -> bool:
        """Whether main or the sidecar may still run."""
        is_collecting = self._services.jobs.is_collecting
        return not job.has_ended or self._once(("running", job.id), lambda: is_collecting(job))

    def files(self, prefix: str, folder: str = "", *, recursive: bool = True) -> Files:
        """All files, or the first MOST_FILES of them."""
        items, complete = self.first(prefix, folder, listing.MOST_FILES, recursive=recursive)
        return Files(items, complete)

    def page(self, prefix: str, wanted: Wanted) -> Page:
        """The page. Raises BadInput for a cursor that is none, and TooLarge where all files would be needed."""
        after = listing.read_cursor(wanted)[1] if wanted.after else ""
        if wanted.needs_all:
            return listing.page_of(self._arranged(prefix, wanted), wanted)
        items, complete = self.first(prefix, wanted.folder, wanted.first, after=after, recursive=wanted.recursive)
        return Page(items, not complete)

    def file(self, prefix: str, path: str) -> Item | None:
        """The file at `path`, which is a file's path in a job folder; None: there is none."""
        return self._once(("file", prefix, path), lambda: self._file(prefix, path))

    def count(self, prefix: str, wanted: Wanted) -> int | None:
        """How many files all of the page's pages have; None where there are too many to count."""
        files = self.files(prefix, wanted.folder, recursive=wanted.recursive)
        if not files.complete:
            return None
        return len(self._arranged(prefix, wanted)) if wanted.search else len(files.items)

    def first(
        self, prefix: str, folder: str, most: int, *, after: str = "", recursive: bool = True
    ) -> tuple[list[Item], bool]:
        """The first files behind `after`, and whether these are all."""
        key = (prefix, folder, after, recursive)
        items, complete = self._listings.get(key, ([], False))
        if len(items) <= most and not complete:
            items, complete = self._listings[key] = self._listed(prefix, folder, most, after, recursive)
        return items[:most], len(items) <= most

    def is_there(self, prefix: str) -> bool:
        """Whether anything lies there, be it the collector's own."""
        return self._once(("there", prefix), lambda: any(True for _ in self._list(prefix)))

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders in `prefix`."""
        return self._once(("folders", prefix), lambda: self._folders(prefix))

    def digests(self, prefix: str, sizes: Mapping[str, int]) -> dict[str, str]:
        """sha256 by path, of those in `sizes` that are of the size that the store says."""
        key = ("digests", prefix, frozenset(sizes.items()))
        return self._once(key, lambda: manifest.digests(self._store, prefix, sizes, self._begun()))

    def totals(self, prefix: str) -> manifest.Totals | None:
        """What the manifest says of all files."""
        return self._once(("totals", prefix), lambda: manifest.totals(self._store, prefix, self._begun()))

    def enter(self, folder: JobFolder) -> None:
        """Count the folder as looked into, once."""
        self._once(("entered", folder.prefix), self._budget.look)

    def _file(self, prefix: str, path: str) -> Item | None:
        self._begun()(FILE_ENTRIES)
        try:
            stat = self._store.stat(prefix + path)
        except FileMissing:
            return None
        return Item(path, stat.size, stat.modified_at, stat.modified_at)

    def _term(self, folder: JobFolder) -> Retention:
        self.enter(folder)
        return self._services.retention.get(folder)

    def _report(self, prefix: str) -> Report | None:
        try:
            return read_report(self._store.read(prefix + REPORT, MAX_BYTES))
        except (FileMissing, InvalidDocument):
            return None

    def _arranged(self, prefix: str, wanted: Wanted) -> list[Item]:
        alike = replace(wanted, first=0, after="")
        return self._once(("arranged", prefix, alike), lambda: self._arrange(prefix, alike))

    def _arrange(self, prefix: str, wanted: Wanted) -> list[Item]:
        files = self.files(prefix, wanted.folder, recursive=wanted.recursive)
        if not files.complete:
            raise TooLarge(
                f"there are more than {listing.MOST_FILES} files: itemsConnection gives them by name, page by page; "
                "leave out orderBy and search, or name a folder as prefix"
            )
        self._begun()(len(files.items))
        return listing.arrange(files.items, wanted)

    def _listed(self, prefix: str, folder: str, most: int, after: str, recursive: bool) -> tuple[list[Item], bool]:
        found = listing.artifacts(self._list, prefix, folder, after=after, recursive=recursive)
        items = list(itertools.islice(found, most + 1))
        self._budget.read(FILE_ENTRIES * len(items))
        return items, len(items) <= most

    def _folders(self, prefix: str) -> list[str]:
        return [item.name[:-1] for item in self._list(prefix, recursive=False) if item.size is None]

    def _list(self, prefix: str, *, after: str = "", recursive: bool = True) -> Iterator[Item]:
        return self._store.list(prefix, after=after, recursive=recursive, on_read=self._begun())

    def _begun(self) -> OnRead:
        self._budget.begin()
        return self._budget.read

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._seen:
            self._seen[key] = make()
        return cast(T, self._seen[key])

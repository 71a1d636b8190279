"""The query `files`, with which PrimeHub's SDK lists and downloads files, for the part of PHFS that holds artifacts.

As in PrimeHub, the name of an item is the rest of its path after the prefix. If the prefix is a folder without its
trailing slash, names begin with a slash; if the prefix is a file, its name is empty.
"""

# mypy: allow-subclassing-any

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphene import Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.errors import BadInput, NotFoundError, TooLarge
from api.folder import JobFolder, folder_by_group, job_folders_prefix, visible_group
from api.schema.context import RequestContext
from api.schema.file_pages import FileTable
from api.schema.types import Size
from api.store.store import FileMissing, Item
from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import path_problem

DEFAULT_LIMIT = 1000


class StoreFile(ObjectType):
    """A file, or a folder. The name of a folder ends with a slash."""

    name = String(description="The rest of the path after the prefix.")
    size = Field(Size, description="Bytes; null for a folder.")
    last_modified = String(description="ISO 8601, UTC, with milliseconds; null for a folder.")


class StoreFileList(ObjectType):
    """The files below a prefix."""

    prefix = String(description="The prefix in the store.")
    phfs_prefix = String(description="The prefix in the group's PHFS.")
    items = List(StoreFile)


class StoreFileWhereInput(InputObjectType):
    """A prefix in a group's PHFS. Only /jobArtifacts and the files below it are available."""

    group_name = NonNull(String)
    phfs_prefix = NonNull(String)


class StoreFileListOptionInput(InputObjectType):
    """By default, one level is listed; all levels if recursive. At most `limit` files are returned (0: 1000)."""

    recursive = Boolean()
    limit = Int()


class FileListRow(NamedTuple):
    """The values of StoreFileList."""

    prefix: str
    phfs_prefix: str
    items: FileTable


class FileQueries(ObjectType):
    """Queries for files."""

    files = Field(StoreFileList, where=NonNull(StoreFileWhereInput), options=StoreFileListOptionInput())

    @staticmethod
    def resolve_files(
        _: None, info: ResolveInfo, where: Mapping[str, str], options: Mapping[str, Any] | None = None
    ) -> FileListRow:
        """Return the files in a folder of the group's PHFS."""
        options = options or {}
        group, recursive, limit = where["group_name"], bool(options.get("recursive")), options.get("limit") or 0
        if limit < 0:
            raise BadInput(f"`limit` must be 0 or more, got {limit}; 0 means {DEFAULT_LIMIT}")
        path, limit = visible_group(info.context.caller, group), limit or DEFAULT_LIMIT
        prefix = _normalize_prefix(where["phfs_prefix"], recursive)
        listing = _PrefixListing(info.context, path, prefix, limit)
        items = list(itertools.islice(listing.items(recursive), limit))
        return FileListRow(f"groups/{path}{prefix}", prefix, FileTable(items, listing.source_times))


class _Source(NamedTuple):
    """A yielded file: the name that it was given, its job's prefix, and the file in the job folder."""

    name: str
    prefix: str
    file: Item


class _PrefixListing:
    """Lists a prefix in one group's PHFS. `group` is a group path; at most `limit` files are read per job."""

    def __init__(self, context: RequestContext, group: str, prefix: str, limit: int) -> None:
        self._context, self._services, self._folders = context, context.services, context.folders
        self._group, self._prefix, self._limit = group, prefix, limit
        self._top, self._job, self._path = [*prefix[1:].split("/", 2), "", ""][:3]
        self._sources: list[_Source] = []

    def items(self, recursive: bool) -> Iterator[Item]:
        """Yield the items, named by the rest of their paths after the prefix."""
        if self._top and self._top != JOB_ARTIFACTS:
            raise BadInput(f"`phfsPrefix` must be /{JOB_ARTIFACTS} or a path below it, got {self._prefix[:80]!r}")
        if "//" in self._prefix:
            return
        if self._job:
            yield from self._items_of_job(recursive)
        elif recursive:
            yield from self._items_of_all_jobs()
        elif self._top:
            yield from (Item(f"{folder.job}/", None, None, None) for folder in self._unexpired_folders())
        elif next(self._unexpired_folders(), None):
            yield Item(f"{JOB_ARTIFACTS}/", None, None, None)

    def source_times(self) -> dict[str, float]:
        """Return the modification times of the jobs' own files by the names of the yielded items."""
        times: dict[str, float] = {}
        for prefix, group in itertools.groupby(self._sources, lambda source: source.prefix):
            sources = list(group)
            of_job = self._folders.source_times(prefix, [source.file for source in sources])
            times |= {name: of_job[file.name] for name, _, file in sources if file.name in of_job}
        return times

    def _item(self, prefix: str, file: Item, name: str) -> Item:
        self._sources.append(_Source(name, prefix, file))
        return file._replace(name=name)

    def _items_of_all_jobs(self) -> Iterator[Item]:
        try:
            for folder in self._unexpired_folders():
                if self._has_status_expiry(folder) or not self._has_retention_expired(folder):
                    lead = f"/{JOB_ARTIFACTS}/{folder.job}/"[len(self._prefix) :]
                    for item in self._folders.first_files(folder.prefix, "", self._limit)[0]:
                        yield self._item(folder.prefix, item, lead + item.name)
        except TooLarge as error:
            raise TooLarge(
                f"this group has too many jobs to list all their files at once: set phfsPrefix to "
                f"/{JOB_ARTIFACTS}/<job>; list /{JOB_ARTIFACTS} without `recursive` to get the names of the jobs"
            ) from error

    def _items_of_job(self, recursive: bool) -> Iterator[Item]:
        """Yield the files of the job in the prefix, or of the folder or file in it."""
        prefix = self._job_prefix()
        if prefix is None:
            return
        may_be_file = not self._prefix.endswith("/")
        if may_be_file and self._path:
            yield from self._file(prefix)
        subfolder = self._path + "/" if may_be_file and self._path else self._path
        lead = "/" if may_be_file else ""
        for item in self._folders.first_files(prefix, subfolder, self._limit, recursive=recursive)[0]:
            yield self._item(prefix, item, lead + item.name[len(subfolder) :])

    def _file(self, prefix: str) -> Iterator[Item]:
        try:
            stat = self._services.store.stat(prefix + self._path)
        except FileMissing:
            return
        yield self._item(prefix, Item(self._path, stat.size, stat.modified_at, stat.modified_at), "")

    def _job_prefix(self) -> str | None:
        """Return the job folder's prefix; None if the path is invalid, or the folder is foreign or has expired."""
        if self._path and path_problem(self._path.removesuffix("/")):
            return None
        folder = self._visible_folder(self._job)
        return None if folder is None or self._has_retention_expired(folder) else folder.prefix

    def _unexpired_folders(self) -> Iterator[JobFolder]:
        """Yield the group's job folders that have not expired according to their PhJobs, without reading them."""
        for job in self._folders.subfolders(job_folders_prefix(self._group)):
            folder = self._visible_folder(job)
            if folder is not None and not self._has_status_expired(folder):
                yield folder

    def _visible_folder(self, job: str) -> JobFolder | None:
        """Return the job's folder, or None if the job belongs to another group or its name is invalid."""
        try:
            return folder_by_group(self._services.jobs, self._context.caller, self._group, job)
        except NotFoundError:
            return None

    def _has_retention_expired(self, folder: JobFolder) -> bool:
        return self._folders.retention(folder).has_expired(self._services.clock())

    def _has_status_expired(self, folder: JobFolder) -> bool:
        return folder.phjob is not None and folder.phjob.has_status_expired(self._services.clock())

    def _has_status_expiry(self, folder: JobFolder) -> bool:
        """Whether the PhJob has an expiry, or still runs, so that the store need not be read for it."""
        return folder.phjob is not None and (not folder.phjob.has_ended or folder.phjob.status_expiry > 0)


def _normalize_prefix(prefix: str, recursive: bool) -> str:
    prefix = prefix if prefix.startswith("/") else "/" + prefix
    return prefix if recursive or prefix.endswith("/") else prefix + "/"

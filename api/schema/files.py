"""`files`: what PrimeHub's SDK lists and downloads by, for the part of PHFS where artifacts lie.

As there, names are what follows the prefix: below a folder named without a slash they begin with one, of the file
that the prefix names exactly nothing is left.
"""

# mypy: allow-subclassing-any

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphene import Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.errors import BadInput, NotFoundError, TooLarge
from api.folder import JobFolder, folder_by_group, job_folders_prefix, visible_group
from api.schema.page import FileRows
from api.schema.request import Request
from api.schema.types import Size
from api.store.store import FileMissing, Item
from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import path_problem

USUAL_LIMIT = 1000


class StoreFile(ObjectType):
    """A file, or a folder: its name ends with a slash."""

    name = String()
    size = Field(Size)
    last_modified = String()


class StoreFileList(ObjectType):
    """Files below a prefix."""

    prefix = String()
    phfs_prefix = String()
    items = List(StoreFile)


class StoreFileWhereInput(InputObjectType):
    """A place in a group's PHFS; only /jobArtifacts and what lies there is served."""

    group_name = NonNull(String)
    phfs_prefix = NonNull(String)


class StoreFileListOptionInput(InputObjectType):
    """One level unless recursive; at most `limit` files (0: 1000)."""

    recursive = Boolean()
    limit = Int()


class FileList(NamedTuple):
    """What StoreFileList shows."""

    prefix: str
    phfs_prefix: str
    items: FileRows


class FileQueries(ObjectType):
    """Queries for files."""

    files = Field(StoreFileList, where=NonNull(StoreFileWhereInput), options=StoreFileListOptionInput())

    @staticmethod
    def resolve_files(
        _: None, info: ResolveInfo, where: Mapping[str, str], options: Mapping[str, Any] | None = None
    ) -> FileList:
        options = options or {}
        group, recursive, limit = where["group_name"], bool(options.get("recursive")), options.get("limit") or 0
        if limit < 0:
            raise BadInput("limit is a number from 0, which stands for 1000")
        path = visible_group(info.context.caller, group)
        prefix, most = _normal(where["phfs_prefix"], recursive), limit or USUAL_LIMIT
        found = itertools.islice(_Place(info.context, path, prefix, most).items(recursive), most)
        return FileList(f"groups/{path}{prefix}", prefix, FileRows(list(found)))


class _Place:
    """A prefix in one group's PHFS, of which at most `most` files are shown. `group`: a group path."""

    def __init__(self, request: Request, group: str, prefix: str, most: int) -> None:
        self._request, self._services, self._sight = request, request.services, request.sight
        self._group, self._prefix, self._most = group, prefix, most
        self._top, self._job, self._rest = [*prefix[1:].split("/", 2), "", ""][:3]

    def items(self, recursive: bool) -> Iterator[Item]:
        """The items by what follows the prefix, which begins with a slash."""
        if self._top and self._top != JOB_ARTIFACTS:
            raise BadInput(f"only /{JOB_ARTIFACTS} and what lies there is served here, not {self._prefix[:80]}")
        if "//" in self._prefix:
            return
        if not recursive and not self._top:
            yield from self._jobs_folder()
        elif not recursive and not self._job:
            yield from self._jobs()
        elif not self._job:
            yield from self._all()
        else:
            yield from self._of_job(recursive)

    def _jobs_folder(self) -> Iterator[Item]:
        if next(self._folders(), None):
            yield Item(f"{JOB_ARTIFACTS}/", None, None, None)

    def _jobs(self) -> Iterator[Item]:
        for folder in self._folders():
            yield Item(f"{folder.job}/", None, None, None)

    def _all(self) -> Iterator[Item]:
        """The files of all jobs."""
        try:
            for folder in self._folders():
                if self._is_told(folder) or not self._has_expired(folder):
                    named = f"/{JOB_ARTIFACTS}/{folder.job}/"[len(self._prefix) :]
                    for item in self._sight.first(folder.prefix, "", self._most)[0]:
                        yield item._replace(name=named + item.name)
        except TooLarge as error:
            raise TooLarge(
                f"the jobs of this group are too many to list all their files at once: name one of them as phfsPrefix, "
                f"/{JOB_ARTIFACTS}/<job>, from the folders that /{JOB_ARTIFACTS} lists without recursive"
            ) from error

    def _of_job(self, recursive: bool) -> Iterator[Item]:
        """The files of the job that the prefix names, or of its folder or file there."""
        folder = self._folder()
        if folder is None:
            return
        is_file_or_folder = not self._prefix.endswith("/")
        if is_file_or_folder and self._rest:
            yield from self._file(folder + self._rest)
        below = self._rest + "/" if is_file_or_folder and self._rest else self._rest
        lead = "/" if is_file_or_folder else ""
        for item in self._sight.first(folder, below, self._most, recursive=recursive)[0]:
            yield item._replace(name=lead + item.name[len(below) :])

    def _file(self, key: str) -> Iterator[Item]:
        try:
            stat = self._services.store.stat(key)
        except FileMissing:
            return
        yield Item("", stat.size, stat.modified_at, stat.modified_at)

    def _folder(self) -> str | None:
        """The job folder, where it may be shown: of this group, not expired, not the collector's."""
        if self._rest and path_problem(self._rest.removesuffix("/")):
            return None
        folder = self._seen(self._job)
        return None if folder is None or self._has_expired(folder) else folder.prefix

    def _folders(self) -> Iterator[JobFolder]:
        """The job folders, without those whose PhJob tells that their time is over: none is looked into."""
        for job in self._sight.folders(job_folders_prefix(self._group)):
            folder = self._seen(job)
            if folder is not None and not self._is_told_over(folder):
                yield folder

    def _seen(self, job: str) -> JobFolder | None:
        """The job's folder, where it is one of this group's."""
        try:
            return folder_by_group(self._services.jobs, self._request.caller, self._group, job)
        except NotFoundError:
            return None

    def _has_expired(self, folder: JobFolder) -> bool:
        return self._sight.term(folder).has_expired(self._services.clock())

    def _is_told_over(self, folder: JobFolder) -> bool:
        told = folder.phjob.status_expiry if folder.phjob else 0
        return 0 < told <= self._services.clock()

    def _is_told(self, folder: JobFolder) -> bool:
        """Whether the PhJob tells until when its artifacts are kept, or still runs."""
        return folder.phjob is not None and (not folder.phjob.has_ended or folder.phjob.status_expiry > 0)


def _normal(prefix: str, recursive: bool) -> str:
    prefix = prefix if prefix.startswith("/") else "/" + prefix
    return prefix if recursive or prefix.endswith("/") else prefix + "/"

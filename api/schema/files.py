"""`files`: what PrimeHub's SDK lists and downloads by, for the part of PHFS where artifacts lie.

As there, names are what follows the prefix: below a folder named without a slash they begin with one, of the file
that the prefix names exactly nothing is left.
"""

# mypy: allow-subclassing-any

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphene import Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api import listing
from api.errors import BadInput, NotFound
from api.folder import folder_of_group
from api.schema.cleanup import seen_group
from api.schema.page import FileRows
from api.schema.request import Request
from api.schema.types import Size
from api.store.store import Item, Missing
from artifacts.errors import InvalidName
from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import check_job_name, path_problem

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
        path = seen_group(info.context.caller, group)
        prefix = _normal(where["phfs_prefix"], recursive)
        found = itertools.islice(_Place(info.context, path, prefix).items(recursive), limit or USUAL_LIMIT)
        return FileList(f"groups/{path}{prefix}", prefix, FileRows(list(found)))


class _Place:
    """A prefix in one group's PHFS. `group` is a group path, `prefix` begins with a slash."""

    def __init__(self, request: Request, group: str, prefix: str) -> None:
        self._request, self._store, self._group = request, request.services.store, group
        self._prefix = prefix
        self._top, self._job, self._rest = [*prefix[1:].split("/", 2), "", ""][:3]

    def items(self, recursive: bool) -> Iterator[Item]:
        """The items by what follows the prefix."""
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
        if next(self._jobs(), None):
            yield Item(f"{JOB_ARTIFACTS}/", None, None, None)

    def _jobs(self) -> Iterator[Item]:
        for item in self._store.list(f"groups/{self._group}/{JOB_ARTIFACTS}/", recursive=False):
            if item.size is None and _is_job(item.name[:-1]):
                yield item

    def _all(self) -> Iterator[Item]:
        """The files of all jobs."""
        for job in self._jobs():
            place = _Place(self._request, self._group, f"/{JOB_ARTIFACTS}/{job.name}")
            named = f"/{JOB_ARTIFACTS}/{job.name}"[len(self._prefix) :]
            for item in place._of_job(recursive=True):
                yield item._replace(name=named + item.name)

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
        for item in listing.artifacts(self._store, folder, below, recursive=recursive):
            yield item._replace(name=lead + item.name[len(below) :])

    def _file(self, key: str) -> Iterator[Item]:
        try:
            stat = self._store.stat(key)
        except Missing:
            return
        yield Item("", stat.size, stat.modified, stat.modified)

    def _folder(self) -> str | None:
        """The job folder, where it may be shown: of this group, not expired, not the collector's."""
        if self._rest and path_problem(self._rest.removesuffix("/")):
            return None
        services = self._request.services
        try:
            folder = folder_of_group(services.jobs, self._request.caller, self._group, self._job)
        except NotFound:
            return None
        self._request.budget.look()
        return None if services.terms.of(folder).has_expired(services.clock()) else folder.prefix


def _normal(prefix: str, recursive: bool) -> str:
    prefix = prefix if prefix.startswith("/") else "/" + prefix
    return prefix if recursive or prefix.endswith("/") else prefix + "/"


def _is_job(name: str) -> bool:
    try:
        return bool(check_job_name(name))
    except InvalidName:
        return False

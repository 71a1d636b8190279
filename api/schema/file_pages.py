"""Pages of a job's files in GraphQL."""

# mypy: allow-subclassing-any

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from graphene import Field, InputObjectType, List, NonNull, ObjectType, String

from api.errors import BadInput
from api.files.target import DownloadTarget
from api.folder import JobFolder
from api.listing import FilePage, FileQuery, encode_cursor, format_iso_time, parse_folder
from api.schema.context import RequestContext
from api.schema.types import PageInfo, PageInfoValues, Size, check_page_size, parse_direction
from api.store.store import Item


class PhJobArtifactItem(ObjectType):
    """A file of a job."""

    name = String(description="The file's path in the job folder.")
    size = Field(Size, description="Bytes.")
    last_modified = String(description="ISO 8601, UTC, with milliseconds.")


class PhJobArtifactNode(ObjectType):
    """A file of a job, or a folder if the list is not recursive. The name of a folder ends with a slash."""

    name = NonNull(String, description="The path in the job folder.")
    size = Field(Size, description="Bytes; null for a folder.")
    last_modified = String(description="ISO 8601, UTC, with milliseconds; null for a folder.")
    sha256 = String(
        description="The content's digest; null if the collector did not record it, or the size has changed."
    )
    url = String(description="A temporary link that shows the file in a browser, or downloads the folder as a ZIP.")
    download_url = String(description="A temporary link that downloads the file, or the folder as a ZIP.")


class PhJobArtifactEdge(ObjectType):
    """A file and its position in the list."""

    cursor = NonNull(String)
    node = NonNull(PhJobArtifactNode)


class PhJobArtifactConnection(ObjectType):
    """A page of a job's files."""

    total_count = Field(Size, description="The number of files on all pages; null if there are too many to count.")
    page_info = NonNull(PageInfo)
    edges = NonNull(List(NonNull(PhJobArtifactEdge)))
    nodes = NonNull(List(NonNull(PhJobArtifactNode)))


class PhJobArtifactOrderByInput(InputObjectType):
    """Set one field to "asc" or "desc". The default is the order by name."""

    name = String()
    size = String()
    last_modified = String()


class FileRow(NamedTuple):
    """The values of PhJobArtifactItem and StoreFile."""

    name: str
    size: int | None
    last_modified: str | None


class FileTable(Sequence[FileRow]):
    """A list of files stored by column (api.schema.flat.ColumnTable).

    `read_times` returns modification times by name that replace those of the items. It is called only if a client
    requests the times.
    """

    def __init__(self, items: Sequence[Item], read_times: Callable[[], Mapping[str, float]]) -> None:
        names, sizes, _, _ = zip(*items, strict=True) if items else ((), (), (), ())
        self._items, self._read_times = items, read_times
        self.columns: Mapping[str, Sequence[Any]] = _Columns(self, {"name": names, "size": sizes})

    def times(self) -> list[str | None]:
        """Return the column of times."""
        times = self._read_times()
        shown = [times.get(name, modified_at) for name, _, modified_at, _ in self._items]
        return [None if time is None else format_iso_time(time) for time in shown]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return FileRow(*(self.columns[name][index] for name in FileRow._fields))


class _Columns(dict[str, Sequence[Any]]):
    """The columns of a table. The times are computed when they are first read."""

    def __init__(self, table: "FileTable", columns: Mapping[str, Sequence[Any]]) -> None:
        super().__init__(columns)
        self._table = table

    def __missing__(self, name: str) -> Sequence[Any]:
        if name != "last_modified":
            raise KeyError(name)
        self[name] = self._table.times()
        return self[name]


class FileNode(NamedTuple):
    """The values of PhJobArtifactNode; `size` is as in FileRow. `row` is the file's position on the page."""

    name: str
    size: int | None
    row: int
    connection: "FileConnection"

    @property
    def last_modified(self) -> str | None:
        """The modification time, as in FileRow."""
        return self.connection.times[self.row]

    @property
    def sha256(self) -> str | None:
        """The digest in the manifest; None if the manifest has no matching entry."""
        return self.connection.digests.get(self.name)

    @property
    def url(self) -> str:
        """A signed link that shows the file."""
        return self.connection.link(self.name, download=False)

    @property
    def download_url(self) -> str:
        """A signed link that saves the file."""
        return self.connection.link(self.name, download=True)


class FileEdge(NamedTuple):
    """The values of PhJobArtifactEdge."""

    cursor: str
    node: FileNode


class FileConnection:
    """The values of PhJobArtifactConnection. `count` returns the number of files on all pages."""

    def __init__(
        self,
        context: RequestContext,
        folder: JobFolder,
        query: FileQuery,
        page: FilePage,
        count: Callable[[], int | None],
    ) -> None:
        self._context, self._folder, self._query, self._page, self._count = context, folder, query, page, count

    @cached_property
    def total_count(self) -> int | None:
        """The number of files on all pages; None if it is unknown."""
        return self._count()

    @property
    def page_info(self) -> PageInfoValues:
        """The cursors of this page, and whether others exist."""
        items = self._page.items
        start, end = (self._cursor(items[0]), self._cursor(items[-1])) if items else (None, None)
        return PageInfoValues(self._page.has_next, bool(self._query.after), start, end)

    @cached_property
    def nodes(self) -> list[FileNode]:
        """The files of this page."""
        return [FileNode(item.name, item.size, row, self) for row, item in enumerate(self._page.items)]

    @cached_property
    def times(self) -> list[str | None]:
        """The modification times of the files of this page."""
        prefix, items, folders = self._folder.prefix, self._page.items, self._context.folders
        return FileTable(items, lambda: folders.source_times(prefix, items)).times()

    @property
    def edges(self) -> list[FileEdge]:
        """The files of this page with their cursors."""
        return list(map(FileEdge, map(self._cursor, self._page.items), self.nodes))

    @cached_property
    def digests(self) -> dict[str, str]:
        """sha256 by name for the files of this page."""
        sizes = {item.name: item.size for item in self._page.items if item.size is not None}
        return self._context.folders.digests(self._folder.prefix, sizes)

    def link(self, name: str, *, download: bool) -> str:
        """Return a temporary link to the file or folder."""
        return download_link(self._context, self._folder, name, download=download)

    def _cursor(self, item: Item) -> str:
        return encode_cursor(item, self._query)


def download_link(context: RequestContext, folder: JobFolder, name: str, *, download: bool) -> str:
    """Return a temporary link to a file, or to a folder ("" or with a trailing slash) as a ZIP."""
    is_folder = not name or name.endswith("/")
    target = DownloadTarget(folder.group, folder.job, name.removesuffix("/"), archive=is_folder, download=download)
    return context.services.link_signer.sign(context.caller, target)


def parse_file_query(arguments: Mapping[str, Any]) -> FileQuery:
    """Parse the arguments of itemsConnection. Raises BadInput."""
    order, descending = _parse_order(arguments.get("order_by") or {})
    return FileQuery(
        first=check_page_size(arguments["first"]),
        after=arguments.get("after") or "",
        folder=parse_folder(arguments.get("prefix") or ""),
        recursive=arguments.get("recursive") is not False,
        order=order,
        descending=descending,
        search=arguments.get("search") or "",
    )


def _parse_order(order_by: Mapping[str, str | None]) -> tuple[str, bool]:
    directions = {
        "lastModified" if name == "last_modified" else name: direction
        for name, direction in order_by.items()
        if direction
    }
    if len(directions) > 1:
        raise BadInput("`orderBy` must have one field; files that are equal in that field are ordered by name")
    field, direction = next(iter(directions.items()), ("name", "asc"))
    return field, parse_direction(field, direction)

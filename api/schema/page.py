"""Pages of a job's files in GraphQL."""

# mypy: allow-subclassing-any

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from graphene import Field, InputObjectType, List, NonNull, ObjectType, String

from api import listing
from api.errors import BadInput
from api.files.target import DownloadTarget
from api.folder import JobFolder
from api.listing import MOST_IN_PAGE, Page, Wanted, iso_time, read_folder
from api.schema.request import Request
from api.schema.types import PageInfo, Size
from api.store.store import Item


class PhJobArtifactItem(ObjectType):
    """A file; its name is its path in the job's folder."""

    name = String()
    size = Field(Size, description="Bytes.")
    last_modified = String(description="ISO 8601, UTC, with milliseconds.")


class PhJobArtifactNode(ObjectType):
    """A file, or, where the list is not recursive, a folder: its name ends with a slash."""

    name = NonNull(String)
    size = Field(Size, description="Bytes; null of a folder.")
    last_modified = String(description="ISO 8601, UTC, with milliseconds; null of a folder.")
    sha256 = String(description="Of the content, where the collector told it and the size is still the same.")
    url = String(description="Where a browser shows the file, for a short time; of a folder, as a ZIP.")
    download_url = String(description="The same, to be saved.")


class PhJobArtifactEdge(ObjectType):
    """A file and its place."""

    cursor = NonNull(String)
    node = NonNull(PhJobArtifactNode)


class PhJobArtifactConnection(ObjectType):
    """A page of a job's files."""

    total_count = Field(Size, description="Of all pages; null where there are too many to count.")
    page_info = NonNull(PageInfo)
    edges = NonNull(List(NonNull(PhJobArtifactEdge)))
    nodes = NonNull(List(NonNull(PhJobArtifactNode)))


class PhJobArtifactOrderByInput(InputObjectType):
    """One of them, "asc" or "desc"; by name where there is none."""

    name = String()
    size = String()
    last_modified = String()


class FileRow(NamedTuple):
    """What PhJobArtifactItem and StoreFile show."""

    name: str
    size: int | None
    last_modified: str | None


class FileRows(Sequence[FileRow]):
    """Files as plain lists show them; kept by column (api.schema.flat.Table)."""

    def __init__(self, items: Sequence[Item]) -> None:
        names, sizes, times, _ = zip(*items, strict=True) if items else ((), (), (), ())
        told = [None if at is None else iso_time(at) for at in times]
        self.columns: dict[str, Sequence[Any]] = {"name": names, "size": sizes, "last_modified": told}

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, place: Any) -> Any:
        return FileRow(*(column[place] for column in self.columns.values()))


class Node(NamedTuple):
    """What PhJobArtifactNode shows; `size` and `last_modified` as in FileRow."""

    name: str
    size: int | None
    last_modified: str | None
    page: "ArtifactPage"

    @property
    def sha256(self) -> str | None:
        return self.page.digests.get(self.name)

    @property
    def url(self) -> str:
        return self.page.link(self.name, download=False)

    @property
    def download_url(self) -> str:
        return self.page.link(self.name, download=True)


class Edge(NamedTuple):
    """What PhJobArtifactEdge shows."""

    cursor: str
    node: Node


class ShownPage(NamedTuple):
    """What PageInfo shows."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None
    current_page: None = None
    total_page: None = None


class ArtifactPage:
    """What PhJobArtifactConnection shows. `count` tells how many files all pages have."""

    def __init__(
        self, request: Request, folder: JobFolder, wanted: Wanted, page: Page, count: Callable[[], int | None]
    ) -> None:
        self._request, self._folder, self._wanted, self._page, self._count = request, folder, wanted, page, count

    @cached_property
    def total_count(self) -> int | None:
        return self._count()

    @property
    def page_info(self) -> ShownPage:
        items = self._page.items
        start, end = (self._cursor(items[0]), self._cursor(items[-1])) if items else (None, None)
        return ShownPage(self._page.has_next, bool(self._wanted.after), start, end)

    @cached_property
    def nodes(self) -> list[Node]:
        return [Node(*row, self) for row in FileRows(self._page.items)]

    @property
    def edges(self) -> list[Edge]:
        return list(map(Edge, map(self._cursor, self._page.items), self.nodes))

    @cached_property
    def digests(self) -> dict[str, str]:
        """sha256 by name, of this page's files."""
        sizes = {item.name: item.size for item in self._page.items if item.size is not None}
        return self._request.sight.digests(self._folder.prefix, sizes)

    def _cursor(self, item: Item) -> str:
        return listing.cursor(item, self._wanted)

    def link(self, name: str, *, download: bool) -> str:
        """Where a browser gets the file or folder."""
        return link(self._request, self._folder, name, download=download)


def link(request: Request, folder: JobFolder, name: str, *, download: bool) -> str:
    """Where a browser gets a file, or a folder ("" or with a closing slash) as a ZIP, for a short time."""
    is_folder = not name or name.endswith("/")
    target = DownloadTarget(folder.group, folder.job, name.removesuffix("/"), archive=is_folder, download=download)
    return request.services.link_signer.sign(request.caller, target)


def read_wanted(arguments: Mapping[str, Any]) -> Wanted:
    """The page that itemsConnection's arguments ask for. Raises BadInput."""
    first = arguments["first"]
    if first is None or not 0 <= first <= MOST_IN_PAGE:
        raise BadInput(f"first is a number from 0 to {MOST_IN_PAGE}")
    order, way = _order(arguments.get("order_by") or {})
    return Wanted(
        first=first,
        after=arguments.get("after") or "",
        folder=read_folder(arguments.get("prefix") or ""),
        recursive=arguments.get("recursive") is not False,
        order=order,
        descending=way == "desc",
        search=arguments.get("search") or "",
    )


def _order(order_by: Mapping[str, str | None]) -> tuple[str, str]:
    named = {"lastModified" if name == "last_modified" else name: way for name, way in order_by.items() if way}
    if len(named) > 1:
        raise BadInput("orderBy: name one field; files that are equal in it come by name")
    order, way = next(iter(named.items()), ("name", "asc"))
    if way not in ("asc", "desc"):
        raise BadInput(f'orderBy {order}: use "asc" or "desc"')
    return order, way

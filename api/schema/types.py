"""GraphQL types, values and checks of arguments that several modules of the schema share."""

# mypy: allow-subclassing-any

from typing import Any, NamedTuple

from graphene import Boolean, Field, Int, NonNull, ObjectType, Scalar, String
from graphql import GraphQLError

from api.errors import BadInput
from api.jobs.job import format_time
from api.listing import MAX_PAGE_SIZE


class Size(Scalar):
    """A number of bytes or files: a JSON number without a fraction.

    PrimeHub uses Int for some sizes, which is limited to 2 GiB, and Float for others, which its server writes without
    a fraction if they are whole. Clients of either can read Size. A Graphene Float would write 5 as 5.0.
    """

    @staticmethod
    def serialize(value: Any) -> int:
        """Return the number unchanged."""
        if type(value) is not int:
            raise GraphQLError(f"a Size must be an integer, got {type(value).__name__}")
        return value


class JSON(Scalar):
    """Any JSON value."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """Return the value unchanged."""
        return value


class PageInfo(ObjectType):
    """The position of a page in its list."""

    current_page = Int()
    total_page = Int()
    has_next_page = NonNull(Boolean)
    has_previous_page = NonNull(Boolean)
    start_cursor = String()
    end_cursor = String()


class PageInfoValues(NamedTuple):
    """The values of PageInfo. The page numbers are None if the page was requested by cursor."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None
    current_page: int | None = None
    total_page: int | None = None


class FileCount(ObjectType):
    """A number of files and their total size in bytes."""

    files = NonNull(Size)
    bytes = NonNull(Size)


def count_field(description: str) -> Field:
    """Declare a field of the type FileCount."""
    return Field(NonNull(FileCount), description=description)


def format_optional_time(seconds: float | None) -> str | None:
    """Format UNIX seconds as RFC 3339; return None for None and 0."""
    return format_time(seconds) if seconds else None


def check_page_size(size: int | None, argument: str = "first") -> int:
    """Return the size of a page. Raises BadInput if it is null or out of range. `argument`: its name in the error."""
    if size is None or not 0 <= size <= MAX_PAGE_SIZE:
        raise BadInput(f"`{argument}` must be between 0 and {MAX_PAGE_SIZE}, got {'null' if size is None else size}")
    return size


def parse_direction(field: str, direction: str) -> bool:
    """Return whether the order is descending. Raises BadInput unless `direction` is "asc" or "desc"."""
    if direction not in ("asc", "desc"):
        raise BadInput(f'`orderBy.{field}` must be "asc" or "desc", got {direction[:80]!r}')
    return direction == "desc"

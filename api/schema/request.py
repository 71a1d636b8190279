"""What the resolvers of one request are given, and how much of the store one request may ask for."""

from dataclasses import dataclass, field

from api.errors import TooLarge
from api.services import Context
from api.usage import Usage

MOST_LOOKS = 50
MANIFEST_LOOKS = 10  # what reading a manifest counts for: it may be large
MOST_ROWS = 20_000


class Budget:
    """Counts job folders that are looked at in the store, and files that are given in plain lists."""

    def __init__(self) -> None:
        self._looks, self._rows = MOST_LOOKS, MOST_ROWS

    def look(self, times: int = 1) -> None:
        """Look at one more job's folder, or raise TooLarge."""
        self._looks -= times
        if self._looks < 0:
            raise TooLarge(
                f"this request looks into the artifacts of more than {MOST_LOOKS} jobs: ask for fewer jobs at a time; "
                "in a list, state, totalCount, totalSize and expiredAt are free"
            )

    def give(self, rows: int) -> None:
        """Give so many files more, or raise TooLarge."""
        self._rows -= rows
        if self._rows < 0:
            raise TooLarge(
                f"the answer would have more than {MOST_ROWS} files: ask for fewer jobs at a time, or use "
                "itemsConnection(first, after)"
            )


@dataclass(frozen=True)
class Request(Context):
    """The context of one request's resolvers."""

    usage: Usage
    budget: Budget = field(default_factory=Budget)

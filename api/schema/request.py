"""What the resolvers of one request are given, and how much of the store one request may ask for."""

from dataclasses import dataclass, field

from api.errors import TooLarge
from api.services import Context
from api.usage import Usage

MOST_LOOKS = 50
MANIFEST_LOOKS = 10  # what reading a manifest counts for: it may be large
WALK_LOOKS = 20  # what a plan of the cleanup, or a group's usage, counts for: many jobs are looked at for it
MOST_ROWS = 20_000


class Budget:
    """Counts looks into job folders in the store, and files that are given in plain lists."""

    def __init__(self) -> None:
        self._looks, self._rows = MOST_LOOKS, MOST_ROWS

    def look(self, times: int = 1) -> None:
        """Look into one more job's folder, or what counts as much as some, or raise TooLarge."""
        self._looks -= times
        if self._looks < 0:
            raise TooLarge(
                f"this request looks into the artifacts of more than {MOST_LOOKS} jobs, or for too much in them: "
                "ask for less at a time; in a list of jobs, state, totalCount, totalSize and expiredAt are free"
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

"""How much of the store, and how much in all, one request may ask for.

What the store costs is known only once it was read, so a request is refused what it asks for after it has read its
share, never in the middle of it: one folder may be of any size.
"""

from api.errors import TooLarge

MOST_LOOKS = 50
WALK_LOOKS = 20  # what a plan of the cleanup, or a group's usage, counts for: many jobs are looked at for it
MOST_ROWS = 20_000
MOST_JOBS = 10_000
MOST_ENTRIES = 400_000  # about half a second's worth of a local directory
LISTING_ENTRIES = 100  # what beginning a listing counts for
FILE_ENTRIES = 4  # what a file counts for beyond its name: it is looked at by itself


class Budget:
    """Counts looks into job folders in the store, entries read for them, and rows that are given in plain lists."""

    def __init__(self) -> None:
        self._looks, self._rows, self._jobs, self._entries = MOST_LOOKS, MOST_ROWS, MOST_JOBS, MOST_ENTRIES

    def look(self, times: int = 1) -> None:
        """Look into one more job's folder, or what counts as much as some, or raise TooLarge."""
        self._looks -= times
        if self._looks < 0:
            raise TooLarge(
                f"this request looks into the artifacts of more than {MOST_LOOKS} jobs, or for too much in them: "
                "ask for less at a time; in a list of jobs, state, totalCount, totalSize and expiredAt are free"
            )

    def begin(self) -> None:
        """Begin to read something in the store, or raise TooLarge where enough was read."""
        if self._entries <= 0:
            raise TooLarge(
                f"this request reads more than {MOST_ENTRIES} entries of folders and manifests: ask for fewer jobs, "
                "pages, searches or folders at a time"
            )
        self._entries -= LISTING_ENTRIES

    def read(self, entries: int) -> None:
        """Note that so many entries were read."""
        self._entries -= entries

    def give(self, rows: int) -> None:
        """Give so many files more, or raise TooLarge."""
        self._rows -= rows
        if self._rows < 0:
            raise TooLarge(
                f"the answer would have more than {MOST_ROWS} files: ask for fewer jobs at a time, or use "
                "itemsConnection(first, after)"
            )

    def give_jobs(self, rows: int) -> None:
        """Give so many jobs more, or raise TooLarge."""
        self._jobs -= rows
        if self._jobs < 0:
            raise TooLarge(f"the answer would have more than {MOST_JOBS} jobs: use phJobsConnection, page by page")

"""Limits how much one request may read from the store and return.

A job folder may be of any size, so the cost of reading it can only be charged afterwards: a request that has spent its
budget may finish the current listing, but not begin another. A listing of very many entries is stopped: the client may
have gone long ago, and a thread that waits for the store cannot notice that.
"""

from api.errors import TooLarge

MAX_FOLDERS = 50
WALK_FOLDERS = 20  # the charge for a plan of the cleanup or a group's usage, which read many job folders
MAX_FILES = 20_000
MAX_JOBS = 10_000
MAX_ENTRIES = 400_000  # takes about half a second in a local directory
MAX_LISTING_ENTRIES = 4_000_000  # beyond MAX_ENTRIES, in the current listing; takes some seconds
MAX_DEFINITION_BYTES = 16 * 1024 * 1024  # of instance types and images, which each group of the caller repeats
LISTING_ENTRIES = 100  # the charge for beginning a listing
FILE_ENTRIES = 4  # the extra charge for a file, whose size and time are read one by one


class Budget:
    """Counts the job folders and entries that a request reads, and the files and jobs that it returns in lists."""

    def __init__(self) -> None:
        self._folders, self._files, self._jobs, self._entries = MAX_FOLDERS, MAX_FILES, MAX_JOBS, MAX_ENTRIES
        self._definition_bytes = MAX_DEFINITION_BYTES

    def charge_folders(self, count: int = 1) -> None:
        """Charge for reading `count` job folders. Raises TooLarge if the budget does not suffice."""
        self._folders -= count
        if self._folders < 0:
            raise TooLarge(
                f"this request reads the artifacts of more than {MAX_FOLDERS} jobs, or too much in them: "
                "request less at a time; in a list of jobs, state, totalCount, totalSize and expiredAt are free"
            )

    def begin_reading(self) -> None:
        """Charge for beginning to read a listing or file. Raises TooLarge if the budget of entries is spent."""
        if self._entries <= 0:
            raise TooLarge(
                f"this request reads more than {MAX_ENTRIES} entries of folders and manifests: request fewer jobs, "
                "pages, searches or folders at a time"
            )
        self._entries -= LISTING_ENTRIES

    def charge_entries(self, count: int) -> None:
        """Charge for `count` entries that were read. Raises TooLarge if the current listing must be stopped."""
        self._entries -= count
        if self._entries < -MAX_LISTING_ENTRIES:
            raise TooLarge(f"this folder has more than {MAX_LISTING_ENTRIES} entries: name a smaller folder as prefix")

    def charge_files(self, count: int) -> None:
        """Charge for returning `count` files. Raises TooLarge if the budget does not suffice."""
        self._files -= count
        if self._files < 0:
            raise TooLarge(
                f"the response would have more than {MAX_FILES} files: request fewer jobs at a time, or use "
                "itemsConnection(first, after)"
            )

    def charge_jobs(self, count: int) -> None:
        """Charge for returning `count` jobs. Raises TooLarge if the budget does not suffice."""
        self._jobs -= count
        if self._jobs < 0:
            raise TooLarge(f"the response would have more than {MAX_JOBS} jobs: use phJobsConnection, page by page")

    def charge_definitions(self, byte_count: int) -> None:
        """Charge for returning definitions of about this size. Raises TooLarge if the budget does not suffice."""
        self._definition_bytes -= byte_count
        if self._definition_bytes < 0:
            raise TooLarge(
                f"the instance types and images of all groups together exceed {MAX_DEFINITION_BYTES} bytes: "
                "select them once in a request, and not in both `groups` and `effectiveGroups`"
            )

"""Decides whether main's user could read a file, since the sidecar may have more rights.

A sidecar that runs as root can read every file on the job's volumes, and a sidecar whose group main does not have can
read that group's files. A link must not publish them. Main's user is known from the settings only: the owner of a file
or folder proves nothing, because main can rename other users' files and folders on its volumes.
"""

import os
import stat
from dataclasses import dataclass

READ, READ_AND_ENTER, ENTER = 0o4, 0o5, 0o1  # "other" bits
_SHIFT_TO_OWNER = 6
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True)
class MainUser:
    """The user ID and group ID of main's processes; None if unknown. User 0 can read all files."""

    uid: int | None = None
    gid: int | None = None


class AccessRules:
    """Whether main's user could read files, by the owner and "other" bits of the file and of its folders.

    Group bits do not count if the sidecar runs as root, nor for the sidecar's own group unless main has that group too.
    Access control lists are not read. Create the object in the process that opens the files.
    """

    def __init__(self, main: MainUser) -> None:
        self._main = main
        self._uid, self._gid = os.geteuid(), os.getegid()
        self.is_needed = main.uid != 0 if self._uid == 0 else (main.uid, main.gid) != (self._uid, self._gid)

    def can_read(self, status: os.stat_result) -> bool:
        """Whether main's user could read the file, or list the folder and open its files."""
        return self._has_rights(status, READ_AND_ENTER if stat.S_ISDIR(status.st_mode) else READ)

    def can_reach(self, folder_fd: int, volume_id: tuple[int, int]) -> bool:
        """Whether main's user could enter a folder and all folders above it.

        The check goes up to the volume with this (device, inode), whose own mode does not count. It follows "..",
        since main can swap the folders that a path names.
        """
        fd = os.dup(folder_fd)
        try:
            status = os.fstat(fd)
            while (folder_id := (status.st_dev, status.st_ino)) != volume_id:
                if not self._has_rights(status, ENTER):
                    return False
                parent_fd = os.open("..", _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = parent_fd
                status = os.fstat(fd)
                if (status.st_dev, status.st_ino) == folder_id:
                    return False  # the folder is not on the volume: this is "/"
            return True
        finally:
            os.close(fd)

    def _has_rights(self, status: os.stat_result, rights: int) -> bool:
        if status.st_uid == self._main.uid:
            rights <<= _SHIFT_TO_OWNER
        elif self._uid and status.st_uid != self._uid and (status.st_gid != self._gid or self._gid == self._main.gid):
            return True  # the kernel checks the sidecar by rights that main has too
        return status.st_mode & rights == rights

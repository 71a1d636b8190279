"""Whether anybody may still write to a file: asked of the kernel by a read lease, given back at once.

A write through a memory map changes no time that stat shows until the kernel writes the page back, which may be never;
so stamps alone would take an old copy of such a file for good. A lease is refused as long as the file is open, or
mapped, for writing. It is there on local file systems; elsewhere the answer is no.
"""

import errno
import fcntl


def is_open_for_writing(fd: int) -> bool:
    """Whether some process has the file behind `fd` (open to read) open or mapped for writing, as far as one can tell.

    SIGIO must be ignored: the kernel sends it where a writer comes within the microsecond.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False

"""The lock that leaves the cleanup to one process: a locked file, or a Lease in Kubernetes."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from api.errors import Conflict, Unavailable
from kube.client import Client
from kube.errors import KubeError
from kube.leader_election import hold_lease

LEASE = "phjob-artifact-cleanup"
_TAKEN = "another cleanup is running: wait for its end"


class CleanupLock(Protocol):
    """Held by at most one process at a time."""

    def hold(self) -> AbstractContextManager[Callable[[], bool]]:
        """Hold it for one run; gives what tells whether it is still held. Raises Conflict where another holds it, and
        Unavailable where that cannot be found out."""


class FileLock:
    """For processes that see one file system: a file below the store's directory, or of the machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """Hold the file's lock, which ends with the process however that ends."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"the lock file {self._path} cannot be opened: {error.strerror}") from error
        try:
            _lock(file, self._path)
            yield lambda: os.fstat(file).st_nlink > 0  # whoever removes the file gives the lock away
        finally:
            os.close(file)


class LeaseLock:
    """For replicas in a cluster: a Lease in their namespace."""

    def __init__(self, client: Client, namespace: str, name: str = LEASE) -> None:
        self._client, self._namespace, self._name = client, namespace, name

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """Hold the Lease, renewed by a thread of its own."""
        with ExitStack() as stack:
            try:
                lease = stack.enter_context(hold_lease(self._client, self._namespace, self._name, socket.gethostname()))
            except KubeError as error:
                raise Unavailable(f"the Lease {self._name} cannot be reached: {error}") from error
            if lease is None:
                raise Conflict(_TAKEN)
            yield lambda: lease.held


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(_TAKEN) from error
    except OSError as error:
        raise Unavailable(f"the lock file {path} cannot be locked: {error.strerror}") from error
    with suppress(OSError):  # who runs, for people
        os.pwrite(file, b"%d\n" % os.getpid(), 0)

"""The cleanup's lock among the replicas in a cluster. Local mode does not import it, nor the `kubernetes` package."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from api.cleanup.locks import HELD_ELSEWHERE
from api.errors import ConflictError, ServiceUnavailable
from kube.client import Client
from kube.errors import KubeError
from kube.leader_election import hold_lease

LEASE = "phjob-artifact-cleanup"


class LeaseLock:
    """A CleanupLock for replicas in a cluster: a Lease in their namespace."""

    def __init__(self, client: Client, namespace: str, name: str = LEASE) -> None:
        self._client, self._namespace, self._name = client, namespace, name

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """Hold the Lease while the block runs; a thread renews it. Yields a function that checks that it is still held.

        Raises:
            ConflictError: another replica holds the Lease.
            ServiceUnavailable: the API server refused or did not answer.
        """
        with ExitStack() as stack:
            try:
                lease = stack.enter_context(hold_lease(self._client, self._namespace, self._name, socket.gethostname()))
            except KubeError as error:
                raise ServiceUnavailable(f"the Lease {self._name} cannot be reached: {error}") from error
            if lease is None:
                raise ConflictError(HELD_ELSEWHERE)
            yield lambda: lease.is_held

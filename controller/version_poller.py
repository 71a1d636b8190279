"""Polls the oldest Kubernetes version in the cluster, of the API server and of the nodes' kubelets.

A thread polls, so only the first pods after a start wait for it. A kubelet may be some minor versions older than its
API server; one without native sidecars fails the pod or never starts main.
"""

import logging
import threading

from artifacts.log import get_logger
from controller.inject.cluster_version import ClusterVersion, Version, kubelet_version, parse_version
from kube.client import Client
from kube.errors import Forbidden, KubeError
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

_RETRY_SECONDS, _POLL_SECONDS = 2.0, 600.0
_FIRST_POLL_SECONDS = 0.8  # that a review waits for the first version after a start; the API server waits 3 s
_NODES_PER_PAGE = 50  # a node object has some ten kilobytes
# Jobs run on Linux, and the version that a virtual kubelet reports is not a Kubernetes version.
_NODE_SELECTOR = {"labelSelector": "kubernetes.io/os=linux,type!=virtual-kubelet"}


class ClusterVersionPoller:
    """Polls every `seconds` between `start` and `stop`; retries sooner after a failure. Call it for the version."""

    def __init__(self, client: Client, seconds: float = _POLL_SECONDS) -> None:
        self._client, self._seconds = client, seconds
        self._nodes = ResourceClient(client, Resource("", "v1", "nodes"))
        self._version = ClusterVersion(None)
        self._is_known = threading.Event()
        self._logged: tuple[object, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="version poller", daemon=True)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stop.set()
        self._thread.join()

    def __call__(self) -> ClusterVersion:
        """Return the last known version. The first reviews after a start wait for it for a moment."""
        self._is_known.wait(_FIRST_POLL_SECONDS)
        return self._version

    def problem(self) -> str:
        """Return why pods cannot be reviewed yet, or ""."""
        return "" if self._version.oldest else "the cluster's version is not known yet"

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._seconds if self._poll() else _RETRY_SECONDS)

    def _poll(self) -> bool:
        """Poll once. After a failure the last known version stays in use. Returns whether it succeeded."""
        try:
            server = parse_version(self._client.request("GET", "/version"))
            kubelet = self._oldest_kubelet()
        except KubeError as error:
            logger.warning("cannot read versions", error=error)
            return False
        if server is None:
            logger.warning("the API server does not report its version")
            return False
        self._version = ClusterVersion(min(server, kubelet[0]) if kubelet else server)
        self._is_known.set()
        self._log_changes(server, kubelet)
        return True

    def _oldest_kubelet(self) -> tuple[Version, str] | None:
        """Return the oldest kubelet's version and node; None if there is no node or listing nodes is forbidden."""
        try:
            nodes = (node for page in self._nodes.pages(_NODE_SELECTOR, _NODES_PER_PAGE) for node in page.items)
            kubelets = ((kubelet_version(node), node["metadata"]["name"]) for node in nodes)
            return min(((version, name) for version, name in kubelets if version), default=None)
        except Forbidden as error:
            logger.warning("cannot list nodes, only the API server's version is checked", error=error)
            return None

    def _log_changes(self, server: Version, kubelet: tuple[Version, str] | None) -> None:
        oldest, node = ("{}.{}".format(*kubelet[0]), kubelet[1]) if kubelet else ("unknown", "none")
        versions = ("{}.{}".format(*server), oldest, self._version.has_native_sidecars)
        if versions != self._logged:
            level = logging.INFO if self._version.has_native_sidecars else logging.WARNING
            logger.log(
                level,
                "cluster versions read",
                server=versions[0],
                oldest_kubelet=oldest,
                node=node,
                native_sidecars=self._version.has_native_sidecars,
            )
        self._logged = versions

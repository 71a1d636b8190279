"""What the webhook knows of its cluster: the oldest Kubernetes in it, of the API server and of the nodes' kubelets.

Looked up again and again by a thread of its own, so that no pod waits for it. A kubelet may be some minor versions
older than its API server, and one that knows no native sidecars fails their pods, or never starts main.
"""

import logging
import threading

from artifacts.log import get_logger
from controller.inject.facts import Facts, Version, kubelet_version, parse_version
from kube.client import Client
from kube.errors import Forbidden, KubeError
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

_AGAIN_SECONDS, _FRESH_SECONDS = 2.0, 600.0
_NODES_A_PAGE = 50  # one is some ten kilobytes
# Jobs run on Linux; what a virtual kubelet says of its version means nothing.
_NODES = {"labelSelector": "kubernetes.io/os=linux,type!=virtual-kubelet"}


class ClusterFacts:
    """Looked up from `start` to `stop`, every `seconds`; sooner where that failed."""

    def __init__(self, client: Client, seconds: float = _FRESH_SECONDS) -> None:
        self._client, self._seconds = client, seconds
        self._nodes = ResourceClient(client, Resource("", "v1", "nodes"))
        self._facts = Facts(None)
        self._told: tuple[object, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way."""
        self._stop.set()
        self._thread.join()

    def __call__(self) -> Facts:
        return self._facts

    def problem(self) -> str:
        """Why no pod can be judged yet, or ""."""
        return "" if self._facts.version else "the cluster's version is not known yet"

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._seconds if self._look() else _AGAIN_SECONDS)

    def _look(self) -> bool:
        """Where it fails, what was known stays."""
        try:
            version = parse_version(self._client.request("GET", "/version"))
            oldest = self._oldest_kubelet()
        except KubeError as error:
            logger.warning("versions not known", error=error)
            return False
        if version is None:
            logger.warning("the API server does not tell its version")
            return False
        self._facts = Facts(min(version, oldest[0]) if oldest else version)
        self._tell(version, oldest)
        return True

    def _oldest_kubelet(self) -> tuple[Version, str] | None:
        """Its version and its node; None where there is no node, or no right to see any."""
        try:
            nodes = (node for page in self._nodes.pages(_NODES, _NODES_A_PAGE) for node in page.items)
            found = ((kubelet_version(node), node["metadata"]["name"]) for node in nodes)
            return min(((version, name) for version, name in found if version), default=None)
        except Forbidden as error:
            logger.warning("kubelets are not looked at, only the API server", error=error)
            return None

    def _tell(self, version: Version, oldest: tuple[Version, str] | None) -> None:
        """Once, and when it changes."""
        kubelet, node = ("{}.{}".format(*oldest[0]), oldest[1]) if oldest else ("unknown", "none")
        told = ("{}.{}".format(*version), kubelet, self._facts.has_native_sidecars)
        if told != self._told:
            level = logging.INFO if self._facts.has_native_sidecars else logging.WARNING
            server, oldest_kubelet, sidecars = told
            logger.log(level, "versions", server=server, oldest_kubelet=oldest_kubelet, node=node, sidecars=sidecars)
        self._told = told

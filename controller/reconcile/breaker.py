"""Switches injection off when sidecars fail again and again: a job is worth more than its artifacts.

A sidecar that cannot start holds its job. Beside another controller nothing can be done for a pod that exists, and
beside our own each job would still lose half a minute. So after so many failures in a row, with no sidecar that works
in between, the namespace gets a label that the webhook's namespaceSelector excludes. It stays until somebody who has
mended the cause takes it off:

    kubectl label namespace NAME primehub.io/artifact-injection-
"""

import logging
import threading
from collections import OrderedDict
from enum import Enum

from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF
from kube import errors
from kube.objects import Objects

logger = logging.getLogger(__name__)
_MOST = 4096


class Judged(Enum):
    """What one more failure is: told before, news, or the one that switched injection off."""

    BEFORE, FAILED, SWITCHED_OFF = range(3)


class Breaker:
    """Thread-safe. `most` failures in a row trip it; 0: none do."""

    def __init__(self, namespaces: Objects, namespace: str, most: int) -> None:
        self._namespaces, self._namespace, self._most = namespaces, namespace, most
        self._lock = threading.Lock()
        self._judged: OrderedDict[str, bool] = OrderedDict()  # pods by uid, each once
        self._failures = 0
        self.is_off = False

    @property
    def remedy(self) -> str:
        """What switches injection on again."""
        return f"kubectl label namespace {self._namespace} {INJECTION_LABEL}-"

    def look(self) -> None:
        """See whether injection is switched off, by this or by a person."""
        try:
            labels = self._namespaces.get(self._namespace).get("metadata", {}).get("labels") or {}
        except errors.KubeError as error:
            logger.warning("namespace not read namespace=%s error=%s", self._namespace, error)
            return
        self.is_off = labels.get(INJECTION_LABEL) == INJECTION_OFF

    def started(self, pod_uid: str) -> None:
        """This pod's sidecar works."""
        with self._lock:
            if self._judge(pod_uid):
                self._failures = 0

    def failed(self, pod_uid: str) -> Judged:
        """This pod's sidecar keeps main from starting, or crashed beside it."""
        with self._lock:
            if not self._judge(pod_uid):
                return Judged.BEFORE
            self._failures += 1
            trips = 0 < self._most <= self._failures
            if trips:
                self._failures = 0
        return Judged.SWITCHED_OFF if trips and self._trip() else Judged.FAILED

    def _judge(self, pod_uid: str) -> bool:
        if pod_uid in self._judged:
            return False
        self._judged[pod_uid] = True
        if len(self._judged) > _MOST:
            self._judged.popitem(last=False)
        return True

    def _trip(self) -> bool:
        try:
            self._namespaces.merge(self._namespace, {"metadata": {"labels": {INJECTION_LABEL: INJECTION_OFF}}})
        except errors.KubeError as error:
            logger.error("injection could not be switched off namespace=%s error=%s", self._namespace, error)
            return False
        self.is_off = True
        logger.error("injection is switched off, sidecars fail namespace=%s remedy=%s", self._namespace, self.remedy)
        return True

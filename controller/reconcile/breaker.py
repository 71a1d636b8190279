"""Switches injection off when sidecars fail again and again: a job is worth more than its artifacts.

A sidecar that cannot start holds its job. Beside another controller nothing can be done for a pod that exists, and
beside our own each job would still lose half a minute. So after so many failures in a row, with no sidecar that works
in between, the namespace gets a label that the webhook's namespaceSelector excludes. It stays until somebody who has
mended the cause takes it off:

    kubectl label namespace NAME primehub.io/artifact-injection-

In a row means by the times at which the pods were made: whoever comes to lead looks at all pods, in any order. An
annotation beside the label outlives it, so that pods from before the last time are not held against what was mended.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from artifacts.log import get_logger
from controller.reconcile.documents import moment, part, rfc3339, text
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF, SWITCHED_OFF_AT
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)
_MOST = 4096


class Judged(Enum):
    """What one more failure is: told before, news, or the one that switched injection off."""

    BEFORE, FAILED, SWITCHED_OFF = range(3)


class Breaker:
    """Thread-safe. `most` failures in a row trip it; 0: none do. Times are UNIX seconds."""

    def __init__(
        self, namespaces: ResourceClient, namespace: str, most: int, now: Callable[[], float] = time.time
    ) -> None:
        self._namespaces, self._namespace, self._most, self._now = namespaces, namespace, most, now
        self._lock = threading.Lock()
        self._judged: OrderedDict[str, bool] = OrderedDict()  # pods by uid, each once
        self._row: list[float] = []  # when those were made that failed since one that works
        self._switched_off_at = 0.0
        self.is_off = False

    @property
    def remedy(self) -> str:
        """What switches injection on again."""
        return f"kubectl label namespace {self._namespace} {INJECTION_LABEL}-"

    def look(self) -> None:
        """See whether injection is switched off, by this or by a person, and when this did so last."""
        try:
            metadata = part(self._namespaces.get(self._namespace), "metadata")
        except errors.KubeError as error:
            logger.warning("namespace not read", namespace=self._namespace, error=error)
            return
        self.is_off = text(part(metadata, "labels"), INJECTION_LABEL) == INJECTION_OFF
        self._switched_off_at = moment(part(metadata, "annotations"), SWITCHED_OFF_AT) or 0.0

    def failed(self, pod_uid: str, made_at: float, worked_at: Callable[[], float]) -> Judged:
        """The sidecar of a pod made at `made_at` keeps main from starting, or crashed beside it.

        `worked_at()`: when the newest pod was made whose sidecar works.
        """
        with self._lock:
            if not self._judge(pod_uid):
                return Judged.BEFORE
            since = max(worked_at(), self._switched_off_at)
            row = [at for at in (*self._row, made_at) if at > since]
            trips = 0 < self._most <= len(row)
            self._row = [] if trips else row
        return Judged.SWITCHED_OFF if trips and self._trip(row) else Judged.FAILED

    def _judge(self, pod_uid: str) -> bool:
        if pod_uid in self._judged:
            return False
        self._judged[pod_uid] = True
        if len(self._judged) > _MOST:
            self._judged.popitem(last=False)
        return True

    def _trip(self, row: list[float]) -> bool:
        self.look()  # another may have led when it was switched off last
        row = [at for at in row if at > self._switched_off_at]
        if self.is_off or len(row) < self._most:
            with self._lock:
                self._row += row
            return False
        at = math.ceil(max(self._now(), *row))
        off = {"labels": {INJECTION_LABEL: INJECTION_OFF}, "annotations": {SWITCHED_OFF_AT: rfc3339(at)}}
        try:
            self._namespaces.merge(self._namespace, {"metadata": off})
        except errors.KubeError as error:
            logger.error("injection could not be switched off", namespace=self._namespace, error=error)
            with self._lock:
                self._row += row
            return False
        self.is_off, self._switched_off_at = True, at
        logger.error("injection is switched off, sidecars fail", namespace=self._namespace, remedy=self.remedy)
        return True

"""Switches injection off when sidecars fail repeatedly: running a job is more important than its artifacts.

A sidecar that cannot start blocks its job. If another controller runs the PhJobs, nothing can be done for an existing
pod; if we run them, each job still loses half a minute. So after several consecutive failures without a working
sidecar in between, the controller sets a label on the namespace, which the webhook's namespaceSelector excludes. The
label stays until a person has fixed the cause and removes it:

    kubectl label namespace NAME primehub.io/artifact-injection-

"Consecutive" refers to the creation times of the pods, because a new leader reviews all pods in any order. An
annotation with the time outlives the label, so that pods created before it do not count again after the fix.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from artifacts.log import get_logger
from controller.documents import format_time, mapping_field, text_field, time_field
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF, SWITCHED_OFF_AT_ANNOTATION
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)
_MAX_RECORDED_PODS = 4096


class FailureResult(Enum):
    """The effect of a reported failure: counted before, counted now, or now and injection was switched off."""

    ALREADY_COUNTED, COUNTED, SWITCHED_OFF = range(3)


class Breaker:
    """Counts consecutive failures and switches injection off at `max_failures`; 0 disables it. Thread-safe.

    Times are UNIX seconds.
    """

    def __init__(
        self, namespaces: ResourceClient, namespace: str, max_failures: int, now: Callable[[], float] = time.time
    ) -> None:
        self._namespaces, self._namespace, self._max_failures, self._now = namespaces, namespace, max_failures, now
        self._lock = threading.Lock()
        self._recorded: OrderedDict[str, bool] = OrderedDict()  # UIDs of pods whose failure was counted
        self._failures: list[float] = []  # creation times of pods that failed since the newest working one
        self._switched_off_at = 0.0
        self.is_off = False

    @property
    def remedy(self) -> str:
        """The command that switches injection on again."""
        return f"kubectl label namespace {self._namespace} {INJECTION_LABEL}-"

    def refresh(self) -> None:
        """Read whether injection is switched off, and when the controller last did that."""
        try:
            metadata = mapping_field(self._namespaces.get(self._namespace), "metadata")
        except errors.KubeError as error:
            logger.warning("cannot read the namespace", namespace=self._namespace, error=error)
            return
        self.is_off = text_field(mapping_field(metadata, "labels"), INJECTION_LABEL) == INJECTION_OFF
        self._switched_off_at = time_field(mapping_field(metadata, "annotations"), SWITCHED_OFF_AT_ANNOTATION) or 0.0

    def record_failure(self, pod_uid: str, created_at: float, last_working_at: Callable[[], float]) -> FailureResult:
        """Record that the sidecar of a pod prevents main from starting, or crashed beside main.

        `last_working_at` returns the creation time of the newest pod whose sidecar works.
        """
        with self._lock:
            if not self._record(pod_uid):
                return FailureResult.ALREADY_COUNTED
            since = max(last_working_at(), self._switched_off_at)
            failures = [at for at in (*self._failures, created_at) if at > since]
            trips = 0 < self._max_failures <= len(failures)
            self._failures = [] if trips else failures
        return FailureResult.SWITCHED_OFF if trips and self._trip(failures) else FailureResult.COUNTED

    def _record(self, pod_uid: str) -> bool:
        """Record the pod; return False if it was recorded before."""
        if pod_uid in self._recorded:
            return False
        self._recorded[pod_uid] = True
        if len(self._recorded) > _MAX_RECORDED_PODS:
            self._recorded.popitem(last=False)
        return True

    def _trip(self, failures: list[float]) -> bool:
        self.refresh()  # another leader may have switched it off since
        failures = [at for at in failures if at > self._switched_off_at]
        if self.is_off or len(failures) < self._max_failures:
            with self._lock:
                self._failures += failures
            return False
        at = math.ceil(max(self._now(), *failures))
        metadata = {
            "labels": {INJECTION_LABEL: INJECTION_OFF},
            "annotations": {SWITCHED_OFF_AT_ANNOTATION: format_time(at)},
        }
        try:
            self._namespaces.merge(self._namespace, {"metadata": metadata})
        except errors.KubeError as error:
            logger.error("cannot switch injection off", namespace=self._namespace, error=error)
            with self._lock:
                self._failures += failures
            return False
        self.is_off, self._switched_off_at = True, at
        logger.error("injection switched off, sidecars failed", namespace=self._namespace, remedy=self.remedy)
        return True

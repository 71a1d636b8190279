"""Records sidecars that fail: each counts once, may pause injection, and is logged. Records sidecars that work, too."""

from functools import partial

from artifacts.log import Fields, get_logger
from controller.documents import printable, text_field
from controller.inject.pod import GROUP_LABEL, USER_LABEL
from controller.injection_pauses import ALL, pod_owner
from controller.reconcile.breaker import Breaker, FailureResult, SidecarFailure
from controller.reconcile.events import EventRecorder, paused_event, sidecar_failed_event
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.names import escape_label
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.pod_builder import is_refused_for_sidecar
from controller.reconcile.settings import ReconcilerSettings
from controller.reconcile.sidecar_health import (
    change_reason,
    crash_reason,
    has_worked,
    is_configured_sidecar,
    is_recent,
    start_failure,
)
from kube.indexer import Indexer

logger = get_logger(__name__)

_RECENT_REFUSAL_SECONDS = 900.0  # a new leader also sees jobs that failed days ago


class SidecarFailures:
    """Finds and records failures. Thread-safe."""

    def __init__(
        self,
        events: EventRecorder,
        pods: Indexer[Pod],
        settings: ReconcilerSettings,
        metrics: ReconcilerMetrics,
        breaker: Breaker,
    ) -> None:
        self._events, self._pods, self._settings = events, pods, settings
        self._metrics, self._breaker = metrics, breaker

    def check_pod(self, job: PhJob, pod: Pod, now: float) -> None:
        """Record the failure of the sidecar in the job's pod, if it has failed, or that it works."""
        counts = is_configured_sidecar(pod, self._settings)
        sidecar = SidecarFailure(pod.uid, pod.created_at, pod.owner, counts)
        if failure := start_failure(pod, self._settings, now):
            is_new = self._record_failure(job, sidecar, failure, now)
            if is_new and not self._settings.reconcile:  # otherwise the pod is recreated, and the status has the reason
                self._events.record(job, sidecar_failed_event(pod.uid, printable(failure)), now)
        elif is_recent(pod, self._settings, now) and (failure := change_reason(pod) or crash_reason(pod)):
            self._record_failure(job, sidecar, failure, now)
        elif counts and has_worked(pod, self._settings, now):
            self._breaker.record_working(pod)

    def check_refusal(self, job: PhJob, now: float) -> None:
        """Record the failure of a job whose pod was refused because of its sidecar. No other controller retries."""
        finished_at = job.finished_at
        if finished_at is None or now - finished_at > _RECENT_REFUSAL_SECONDS or not is_refused_for_sidecar(job):
            return
        failure = f"the pod was refused: {text_field(job.status, 'message')}"
        labels = {USER_LABEL: escape_label(job.user), GROUP_LABEL: escape_label(job.group)}
        refused = SidecarFailure(job.uid, finished_at, pod_owner({"labels": labels}))
        if self._record_failure(job, refused, failure, now):
            self._events.record(job, sidecar_failed_event(job.uid, printable(failure)), now)

    def _record_failure(self, job: PhJob, sidecar: SidecarFailure, reason: str, now: float) -> bool:
        """Count the failure of a sidecar, and pause injection if it is one too many. Returns whether it is new."""
        result = self._breaker.record_failure(sidecar, partial(self._last_working_at, now))
        if result is FailureResult.ALREADY_COUNTED:
            return False
        self._metrics.start_failures.inc()
        fields: Fields = {"job": job.name, "group": job.group}
        logger.warning("sidecar failed to start", **fields, reason=reason[:200], counts=sidecar.counts)
        if result is not FailureResult.COUNTED:
            key = ALL if result is FailureResult.PAUSED_FOR_ALL else sidecar.owner
            scope = "all jobs" if key == ALL else "the jobs of this user"
            until, remedy = self._breaker.until(key), self._breaker.remedy
            self._events.record(job, paused_event(sidecar.uid, printable(reason), scope, until, remedy), now)
        return True

    def _last_working_at(self, now: float, owner: str) -> float:
        """Return when the newest pod with a working sidecar, of an owner or of ALL, was created; 0 without one."""
        return max(
            (
                pod.created_at
                for pod in self._pods.values()
                if owner in (ALL, pod.owner)
                and is_configured_sidecar(pod, self._settings)
                and has_worked(pod, self._settings, now)
            ),
            default=0.0,
        )

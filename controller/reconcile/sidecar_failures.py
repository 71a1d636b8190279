"""Records sidecars that fail: each counts once, may switch injection off, and is logged."""

from functools import partial

from artifacts.log import get_logger
from controller.documents import printable, text_field
from controller.reconcile.breaker import Breaker, FailureResult
from controller.reconcile.events import EventRecorder, sidecar_failed_event, switched_off_event
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.pod_builder import is_refused_for_sidecar
from controller.reconcile.settings import ReconcilerSettings
from controller.reconcile.sidecar_health import change_reason, crash_reason, has_worked, is_recent, start_failure
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
        """Record the failure of the sidecar in the job's pod, if it has failed."""
        if failure := start_failure(pod, self._settings, now):
            is_new = self._record_failure(job, pod.uid, pod.created_at, failure, now)
            if is_new and not self._settings.reconcile:  # otherwise the pod is recreated, and the status has the reason
                self._events.record(job, sidecar_failed_event(pod.uid, printable(failure)), now)
        elif is_recent(pod, self._settings, now) and (failure := change_reason(pod) or crash_reason(pod)):
            self._record_failure(job, pod.uid, pod.created_at, failure, now)

    def check_refusal(self, job: PhJob, now: float) -> None:
        """Record the failure of a job whose pod was refused because of its sidecar. No other controller retries."""
        finished_at = job.finished_at
        if finished_at is None or now - finished_at > _RECENT_REFUSAL_SECONDS or not is_refused_for_sidecar(job):
            return
        failure = f"the pod was refused: {text_field(job.status, 'message')}"
        if self._record_failure(job, job.uid, finished_at, failure, now):
            self._events.record(job, sidecar_failed_event(job.uid, printable(failure)), now)

    def _record_failure(self, job: PhJob, uid: str, created_at: float, failure: str, now: float) -> bool:
        """Count the failure of a sidecar, and switch injection off if it is one too many. Returns whether it is new."""
        result = self._breaker.record_failure(uid, created_at, partial(self._last_working_at, now))
        if result is FailureResult.ALREADY_COUNTED:
            return False
        self._metrics.start_failures.inc()
        logger.warning("sidecar failed to start", job=job.name, group=job.group, reason=failure[:200])
        if result is FailureResult.SWITCHED_OFF:
            event = switched_off_event(uid, printable(failure), self._breaker.remedy)
            self._events.record(job, event, now)
        return True

    def _last_working_at(self, now: float) -> float:
        """Return when the newest pod with a working sidecar was created; 0 without such a pod."""
        pods = self._pods.values()
        return max((pod.created_at for pod in pods if has_worked(pod, self._settings, now)), default=0.0)

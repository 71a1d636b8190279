"""Reconciles one PhJob: writes the planned status, creates or deletes its pod, records events and metrics. Thin I/O.

Irreversible steps are guarded by the API server, not by memory: pods by their name, deletions by UID and version,
statuses by the version that was read. So two controllers that both believe they lead do no harm.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from artifacts.log import Fields, get_logger
from controller.documents import format_time, text_field
from controller.inject.pod import RESULT_ANNOTATION
from controller.reconcile.artifact_status import (
    NOT_INJECTED,
    ArtifactStatus,
    format_artifact_status,
    format_result_annotation,
    is_new_outcome,
)
from controller.reconcile.breaker import Breaker
from controller.reconcile.events import (
    EventRecorder,
    artifact_event,
    ignored_annotations_event,
    instance_type_event,
    pod_delayed_event,
    status_event,
)
from controller.reconcile.expiry import apply_expiry, next_expiry_check
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.outcome import next_artifact_status, with_end_cause
from controller.reconcile.outcome_limit import OutcomeLimit
from controller.reconcile.phjob import PhJob, PhJobSpec, read_phjob, read_spec
from controller.reconcile.pod import Pod
from controller.reconcile.pod_builder import (
    InvalidJobSpec,
    Refusal,
    build_pod,
    classify_refusal,
)
from controller.reconcile.pod_creator import PodCreator
from controller.reconcile.pod_lookup import PodLookup
from controller.reconcile.pod_metrics import must_count, pod_metrics
from controller.reconcile.pod_warnings import PodWarnings
from controller.reconcile.settings import ReconcilerSettings
from controller.reconcile.sidecar_failures import SidecarFailures
from controller.reconcile.sidecar_health import next_sidecar_check
from controller.reconcile.status_plan import (
    Action,
    CreatePod,
    DeletePhJob,
    DeletePod,
    StatusPlan,
    plan_status,
    warning_due_at,
)
from kube import errors
from kube.indexer import Indexer
from kube.objects import ResourceClient

logger = get_logger(__name__)

_QUOTA_RETRY_SECONDS = 30.0
_NAME_TAKEN_RETRY_SECONDS = 30.0  # the watch may not show another owner's pod
_WATCH_DELAY_SECONDS = 1.0  # for the watch to show a pod whose name is taken


@dataclass(frozen=True)
class Clients:
    """What the reconciler writes to, and what it reads from without a cache."""

    phjobs: ResourceClient
    pods: ResourceClient
    events: EventRecorder
    warnings: PodWarnings


@dataclass(frozen=True)
class Caches:
    """What the reconciler reads from."""

    phjobs: Indexer[PhJob]
    pods: Indexer[Pod]


class Reconciler:
    """Thread-safe if no two threads reconcile the same key at the same time. `now` returns UNIX seconds."""

    def __init__(
        self,
        clients: Clients,
        caches: Caches,
        settings: ReconcilerSettings,
        metrics: ReconcilerMetrics,
        breaker: Breaker,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clients, self._caches, self._settings = clients, caches, settings
        self._metrics, self._now = metrics, now
        self._failures = SidecarFailures(clients.events, caches.pods, settings, metrics, breaker)
        self._lookup = PodLookup(clients.pods, caches.pods)
        self._outcomes = OutcomeLimit()
        self._pod_creator = PodCreator(clients.pods, settings, lambda: not breaker.is_disabled)
        self._not_before: dict[str, float] = {}  # when to retry the creation of a pod, by key

    def reconcile(self, key: str) -> float | None:
        """Reconcile a PhJob. Returns in how many seconds to reconcile again, or None. Raises KubeError."""
        job = self._caches.phjobs.get(key)
        if job is None:
            self._not_before.pop(key, None)
            self._lookup.forget(key)
            self._outcomes.forget(key)
            return None
        now = self._now()
        pod = self._lookup.find(key, job, job.reported_artifact(self._settings.reconcile))
        if pod and pod.owner_uid == job.uid:
            self._failures.check_pod(job, pod, now)
        check_at = self._run(key, job, pod, now) if self._settings.reconcile else self._watch(job, pod, now)
        if pod and pod.is_gone:
            self._lookup.forget(key)
        if pod and pod.owner_uid != job.uid and not job.has_ended:
            check_at = min(check_at or math.inf, now + _NAME_TAKEN_RETRY_SECONDS)
        return None if check_at is None else max(0.0, check_at - now)

    def _run(self, key: str, job: PhJob, pod: Pod | None, now: float) -> float | None:
        """Run the job. Returns when to check it again."""
        if pod and (due_at := warning_due_at(pod, self._settings)) is not None and now >= due_at:
            pod = replace(pod, warning=self._clients.warnings.latest(pod, now))
        plan = plan_status(job, pod, self._settings, now)
        version = self._write_status(job, plan)
        self._report_artifact(job, job.status_artifact, plan.artifact, pod, now)
        if event := status_event(job, plan.status):
            self._clients.events.record(job, event, now)
        if plan.action:
            written = replace(job, resource_version=version, status=plan.status, status_artifact=plan.artifact)
            sooner = self._act(key, written, plan.action, now)
            return plan.check_at if sooner is None else sooner
        return plan.check_at

    def _watch(self, job: PhJob, pod: Pod | None, now: float) -> float | None:
        """Report the artifacts of a job that another controller runs. Returns when to check it again."""
        own = pod if pod and pod.owner_uid == job.uid else None
        if own is None:
            self._failures.check_refusal(job, now)
        before = job.annotated_artifact
        after = with_end_cause(next_artifact_status(before, own, self._settings, now), job, now)
        if before is None and job.has_ended and after and after.state == NOT_INJECTED:
            after = None  # the job may have run before this product was installed
        if job.has_ended and after == before:
            after = apply_expiry(job, after, now)
        if after and after != before:
            self._publish_result(job, before, after, own, now)
        check_at = next_sidecar_check(own, self._settings, now) if own else None
        return next_expiry_check(job, after, now) if check_at is None and job.has_ended else check_at

    def _publish_result(
        self, job: PhJob, before: ArtifactStatus | None, after: ArtifactStatus, pod: Pod | None, now: float
    ) -> None:
        """Annotate the PhJob and report the outcome. If the annotation does not fit, only record the event."""
        annotations = {RESULT_ANNOTATION: format_result_annotation(after, job.uid)}
        try:
            written = self._clients.phjobs.merge(
                job.name, {"metadata": {**_preconditions(job), "annotations": annotations}}
            )
        except errors.Invalid as error:
            if "annotations" not in error.message:
                raise
            logger.warning("artifact status not annotated, no room", **_log_fields(job), error=error.message[:200])
            if is_new_outcome(before, after):
                self._clients.events.record(job, artifact_event(after, pod), now)
            return
        self._caches.phjobs.record_write(written)
        self._report_artifact(job, before, after, pod, now)

    def _write_status(self, job: PhJob, plan: StatusPlan) -> str:
        """Write the changed fields; return the PhJob's version. Raises Conflict if it was changed meanwhile."""
        fields: dict[str, Any] = {
            name: plan.status.get(name)
            for name in {*job.status, *plan.status}
            if job.status.get(name) != plan.status.get(name)
        }
        if plan.artifact and plan.artifact != job.status_artifact:
            fields["artifact"] = format_artifact_status(plan.artifact)
        if not fields:
            return job.resource_version
        patch = {"metadata": _preconditions(job), "status": fields}
        written = self._clients.phjobs.merge(job.name, patch, "status")
        self._caches.phjobs.record_write(written)
        phase = plan.status.get("phase")
        if job.phase != phase:
            logger.info("phase changed", **_log_fields(job), before=job.phase or "none", after=phase)
        version = written["metadata"]["resourceVersion"]
        return version if isinstance(version, str) else ""

    def _report_artifact(
        self, job: PhJob, before: ArtifactStatus | None, after: ArtifactStatus | None, pod: Pod | None, now: float
    ) -> None:
        """Count, log and record an event for a status that has been written, if it is a new outcome."""
        counts, is_new = must_count(before, after, pod), is_new_outcome(before, after)
        if after is None or not (counts or is_new) or not self._outcomes.take(f"{job.namespace}/{job.name}"):
            return
        if counts:
            self._metrics.count(pod_metrics(after, pod, job.group))
        if is_new:
            self._clients.events.record(job, artifact_event(after, pod), now)
            logger.info(
                "artifacts", **_log_fields(job), state=after.state, files=after.files, bytes=after.bytes,
                message=after.message,
            )  # fmt: skip

    def _act(self, key: str, job: PhJob, action: Action, now: float) -> float | None:
        """Perform the action. Returns when to check again if that is sooner than planned."""
        if isinstance(action, CreatePod):
            return self._create_pod(key, job, action, now)
        if isinstance(action, DeletePod):
            self._delete_pod(job, action)
        elif isinstance(action, DeletePhJob):
            self._delete_phjob(job)
        return None

    def _delete_phjob(self, job: PhJob) -> None:
        try:
            self._clients.phjobs.delete(job.name, uid=job.uid, version=job.resource_version, propagation="Background")
        except errors.NotFound:
            return
        logger.info("phjob deleted, its ttl has passed", **_log_fields(job))

    def _delete_pod(self, job: PhJob, action: DeletePod) -> None:
        try:
            deleted = self._clients.pods.delete(
                job.name, uid=action.uid, version=action.resource_version, grace_seconds=action.grace_seconds
            )
        except errors.NotFound:
            return
        if deleted.get("metadata", {}).get("deletionGracePeriodSeconds"):  # otherwise the pod is gone already
            self._caches.pods.record_write(deleted)
        grace_seconds = "default" if action.grace_seconds is None else action.grace_seconds
        logger.info("pod deleted", **_log_fields(job), grace_seconds=grace_seconds)

    def _create_pod(self, key: str, job: PhJob, action: CreatePod, now: float) -> float | None:
        not_before = self._not_before.get(key, 0.0)
        if now < not_before <= now + _QUOTA_RETRY_SECONDS:
            return not_before
        spec = self._read_spec(job)
        if spec is None:
            return None
        try:
            self._create_with_fallback(job, spec, action.no_sidecar_reason, now)
        except errors.AlreadyExists:
            self._lookup.mark_unwatched(key)
            return now + _WATCH_DELAY_SECONDS
        except InvalidJobSpec as error:
            self._fail(job, str(error), now)
        except (errors.Forbidden, errors.Invalid) as error:
            refusal = classify_refusal(error)
            if refusal is Refusal.NOT_PERMITTED:
                self._report_delay(job, error, now)
                raise
            if refusal is Refusal.QUOTA:
                self._not_before[key] = now + _QUOTA_RETRY_SECONDS
                self._requeue(job, error, now)
                return now + _QUOTA_RETRY_SECONDS
            self._fail(job, error.message, now)
        except errors.ServerFault as error:
            self._report_delay(job, error, now)
            raise
        self._not_before.pop(key, None)
        return None

    def _read_spec(self, job: PhJob) -> PhJobSpec | None:
        """Read what the pod is built from. Returns None if the PhJob is gone, or was replaced by another one."""
        try:
            document = self._clients.phjobs.get(job.name)
        except errors.NotFound:
            return None
        return read_spec(document) if read_phjob(document).uid == job.uid else None

    def _create_with_fallback(self, job: PhJob, spec: PhJobSpec, no_sidecar_reason: str, now: float) -> None:
        """Create the pod. If it is refused with the sidecar, create it without."""
        try:
            document = build_pod(job, spec, self._settings, no_sidecar_reason)
            created = self._pod_creator.create(job, document, now)
        except (errors.Forbidden, errors.Invalid) as error:
            refusal = classify_refusal(error)
            if no_sidecar_reason or refusal is Refusal.NOT_PERMITTED:
                raise
            no_sidecar_reason = "quota" if refusal is Refusal.QUOTA else "refused"
            created = self._clients.pods.create(build_pod(job, spec, self._settings, no_sidecar_reason))
            logger.warning("pod refused with its sidecar", **_log_fields(job), error=error.message[:500])
        logger.info("pod created", **_log_fields(job), no_sidecar_reason=no_sidecar_reason or "none")
        self._caches.pods.record_write(created)
        if spec.instance_type:
            event = instance_type_event(spec.instance_type, self._settings.main_cpu, self._settings.main_memory)
            self._clients.events.record(job, event, now)
        if spec.ignored_annotations:
            self._clients.events.record(job, ignored_annotations_event(spec.ignored_annotations), now)

    def _fail(self, job: PhJob, message: str, now: float) -> None:
        status = {**job.status, "phase": "Failed", "reason": "PodCreationFailed", "message": message[:1024]}
        self._change_status(job, status | {"finishTime": format_time(now)}, now)

    def _report_delay(self, job: PhJob, error: errors.StatusError, now: float) -> None:
        """State in the PhJob why its pod cannot be created yet, for example because another webhook does not answer."""
        event = pod_delayed_event(error.message)
        if text_field(job.status, "message") != event.message:
            self._write_status(job, StatusPlan({**job.status, "message": event.message}, job.status_artifact))
            self._clients.events.record(job, event, now)

    def _requeue(self, job: PhJob, error: errors.StatusError, now: float) -> None:
        message = f"Back to pending due to: insufficient group/user quota: {error.message}"
        status = {**job.status, "phase": "Pending", "reason": "OverQuota", "message": message[:1024]}
        self._change_status(job, status | {"requeued": job.requeue_count + 1}, now)

    def _change_status(self, job: PhJob, status: Mapping[str, Any], now: float) -> None:
        self._write_status(job, StatusPlan(status, job.status_artifact))
        if event := status_event(job, status):
            self._clients.events.record(job, event, now)


def _log_fields(job: PhJob) -> Fields:
    """Return the log fields that identify the job."""
    return {"job": job.name, "group": job.group}


def _preconditions(job: PhJob) -> dict[str, str]:
    """Return the metadata of a patch that makes it fail if the PhJob has changed since it was read."""
    return {"uid": job.uid, "resourceVersion": job.resource_version}

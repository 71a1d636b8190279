"""Does what was decided about one PhJob: writes its status, makes and deletes its pod, tells and counts. Thin I/O.

What has no way back is guarded by the API server, not by what is remembered here: pods by their name, deletions by uid
and version, statuses by the version that was read. So two controllers that both believe they lead harm nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from artifacts.log import Fields, get_logger
from controller.inject.pod import RESULT
from controller.reconcile.artifact import NOT_INJECTED, Artifact, is_news, write_artifact, write_result
from controller.reconcile.breaker import Breaker, Judged
from controller.reconcile.counted import count, is_counted
from controller.reconcile.documents import printable, rfc3339
from controller.reconcile.events import Events, artifact_notice, instance_type_notice, off_notice, status_notice
from controller.reconcile.expiry import after_expiry, look_at_expiry
from controller.reconcile.finding import PodFinder
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.outcome import next_artifact
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.refusal import NO_RIGHT, QUOTA, judge
from controller.reconcile.settings import Settings
from controller.reconcile.sidecar import crash, has_worked, is_recent, look_at_sidecar, sidecar_trouble
from controller.reconcile.spawn import Unmakeable, make_pod
from controller.reconcile.status import (
    Action,
    CreatePod,
    Decision,
    DeletePhJob,
    DeletePod,
    decide,
)
from kube import errors
from kube.indexer import Indexer
from kube.objects import ResourceClient

logger = get_logger(__name__)

_QUOTA_SECONDS = 30.0  # between two tries to make a pod that is over a quota
_IN_THE_WAY_SECONDS = 30.0  # between two looks at another's pod, of which the watch may show nothing
_SOON_SECONDS = 1.0  # for the watch to show what another answer has told


@dataclass(frozen=True)
class Api:
    """What is written to."""

    phjobs: ResourceClient
    pods: ResourceClient
    events: Events


@dataclass(frozen=True)
class Seen:
    """What is read from."""

    phjobs: Indexer[PhJob]
    pods: Indexer[Pod]


class Reconciler:
    """Thread-safe, as long as each key is worked on by one thread at a time. `now` gives UNIX seconds."""

    def __init__(
        self,
        api: Api,
        seen: Seen,
        settings: Settings,
        metrics: ReconcilerMetrics,
        breaker: Breaker,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api, self._seen, self._settings = api, seen, settings
        self._metrics, self._breaker, self._now = metrics, breaker, now
        self._finder = PodFinder(api.pods, seen.pods)
        self._not_before: dict[str, float] = {}

    def reconcile(self, key: str) -> float | None:
        """Do what is to be done about the PhJob now; returns in how many seconds to look again. Raises KubeError."""
        job = self._seen.phjobs.get(key)
        if job is None:
            self._not_before.pop(key, None)
            self._finder.forget(key)
            return None
        now = self._now()
        pod = self._finder.find(key, job, job.told(self._settings.reconcile))
        if pod and pod.owner_uid == job.uid:
            self._judge_sidecar(job, pod, now)
        look_at = self._reconcile(key, job, pod, now) if self._settings.reconcile else self._watch(job, pod, now)
        if pod and pod.gone:
            self._finder.forget(key)
        if pod and pod.owner_uid != job.uid and not job.has_ended:
            look_at = min(look_at or math.inf, now + _IN_THE_WAY_SECONDS)
        return None if look_at is None else max(0.0, look_at - now)

    def _reconcile(self, key: str, job: PhJob, pod: Pod | None, now: float) -> float | None:
        decision = decide(job, pod, self._settings, now)
        version = self._write_status(job, decision)
        self._tell_artifact(job, job.artifact, decision.artifact, pod, now)
        if notice := status_notice(job, decision.status):
            self._api.events.tell(job, notice, now)
        if decision.action:
            written = replace(job, version=version, status=decision.status, artifact=decision.artifact)
            soon = self._act(key, written, decision.action, now)
            return decision.look_at if soon is None else soon
        return decision.look_at

    def _watch(self, job: PhJob, pod: Pod | None, now: float) -> float | None:
        """Another controller runs the job: only its artifacts are told of, in an annotation."""
        own = pod if pod and pod.owner_uid == job.uid else None
        result = next_artifact(job.result, own, self._settings, now)
        if job.result is None and job.has_ended and result and result.state == NOT_INJECTED:
            result = None  # it may have run before this was installed
        if job.has_ended and result == job.result:
            result = after_expiry(job, result, now)
        if result and result != job.result:
            metadata = {**_unchanged(job), "annotations": {RESULT: write_result(result, job.uid)}}
            self._seen.phjobs.record_write(self._api.phjobs.merge(job.name, {"metadata": metadata}))
            self._tell_artifact(job, job.result, result, own, now)
        look_at = look_at_sidecar(own, self._settings, now) if own else None
        return look_at_expiry(job, result, now) if look_at is None and job.has_ended else look_at

    def _judge_sidecar(self, job: PhJob, pod: Pod, now: float) -> None:
        trouble = sidecar_trouble(pod, self._settings, now)
        if not trouble and is_recent(pod, self._settings, now):
            trouble = crash(pod)
        if not trouble:
            return
        judged = self._breaker.failed(pod.uid, pod.created_at, partial(self._newest_working, now))
        if judged is Judged.BEFORE:
            return
        self._metrics.start_failures.inc()
        logger.warning("sidecar fails", **_who(job), trouble=trouble[:200])
        if judged is Judged.SWITCHED_OFF:
            self._api.events.tell(job, off_notice(pod.uid, printable(trouble), self._breaker.remedy), now)

    def _newest_working(self, now: float) -> float:
        """When the newest pod was made whose sidecar works; 0: there is none."""
        pods = self._seen.pods.values()
        return max((pod.created_at for pod in pods if has_worked(pod, self._settings, now)), default=0.0)

    def _write_status(self, job: PhJob, decision: Decision) -> str:
        """Write what is new; returns the PhJob's version. Raises Conflict where it has changed meanwhile."""
        fields: dict[str, Any] = {
            name: decision.status.get(name)
            for name in {*job.status, *decision.status}
            if job.status.get(name) != decision.status.get(name)
        }
        if decision.artifact and decision.artifact != job.artifact:
            fields["artifact"] = write_artifact(decision.artifact)
        if not fields:
            return job.version
        patch = {"metadata": _unchanged(job), "status": fields}
        written = self._api.phjobs.merge(job.name, patch, "status")
        self._seen.phjobs.record_write(written)
        if job.phase != decision.status.get("phase"):
            after = decision.status.get("phase")
            logger.info("phase", **_who(job), before=job.phase or "none", after=after)
        version = written["metadata"]["resourceVersion"]
        return version if isinstance(version, str) else ""

    def _tell_artifact(
        self, job: PhJob, before: Artifact | None, after: Artifact | None, pod: Pod | None, now: float
    ) -> None:
        """Count and tell what is new of what has been written."""
        if after is None:
            return
        if is_counted(before, after, pod):
            self._metrics.count(count(after, pod, job.spec.group))
        if is_news(before, after):
            self._api.events.tell(job, artifact_notice(after), now)
            logger.info(
                "artifacts", **_who(job), state=after.state, files=after.files, bytes=after.bytes, message=after.message
            )  # fmt: skip

    def _act(self, key: str, job: PhJob, action: Action, now: float) -> float | None:
        """Returns when to look again, where that is sooner than was decided."""
        if isinstance(action, CreatePod):
            return self._create(key, job, action, now)
        if isinstance(action, DeletePod):
            self._delete_pod(job, action)
        elif isinstance(action, DeletePhJob):
            try:
                self._api.phjobs.delete(job.name, uid=job.uid, version=job.version, propagation="Background")
            except errors.NotFound:
                return None
            logger.info("removed, its time is over", **_who(job))
        return None

    def _delete_pod(self, job: PhJob, action: DeletePod) -> None:
        try:
            answer = self._api.pods.delete(
                job.name, uid=action.uid, version=action.version, grace_seconds=action.grace_seconds
            )
        except errors.NotFound:
            return
        if answer.get("metadata", {}).get("deletionGracePeriodSeconds"):  # else it is gone already
            self._seen.pods.record_write(answer)
        grace = "its own" if action.grace_seconds is None else action.grace_seconds
        logger.info("deleted its pod", **_who(job), grace=grace)

    def _create(self, key: str, job: PhJob, action: CreatePod, now: float) -> float | None:
        not_before = self._not_before.get(key, 0.0)
        if now < not_before <= now + _QUOTA_SECONDS:
            return not_before
        try:
            self._make(job, action.without, now)
        except errors.AlreadyExists:
            self._finder.note_unseen(key)
            return now + _SOON_SECONDS
        except Unmakeable as error:
            self._fail(job, str(error), now)
        except (errors.Forbidden, errors.Invalid) as error:
            verdict = judge(error)
            if verdict == NO_RIGHT:
                raise
            if verdict == QUOTA:
                self._not_before[key] = now + _QUOTA_SECONDS
                self._back_to_pending(job, error, now)
                return now + _QUOTA_SECONDS
            self._fail(job, error.message, now)
        self._not_before.pop(key, None)
        return None

    def _make(self, job: PhJob, without: str, now: float) -> None:
        """Create the pod; where it may not be with its sidecar, without."""
        try:
            created = self._api.pods.create(make_pod(job, self._settings, without))
        except (errors.Forbidden, errors.Invalid) as error:
            verdict = judge(error)
            if without or verdict == NO_RIGHT:
                raise
            without = "quota" if verdict == QUOTA else "refused"
            created = self._api.pods.create(make_pod(job, self._settings, without))
            logger.warning("pod refused with its sidecar", **_who(job), error=error.message[:500])
        logger.info("made its pod", **_who(job), without_sidecar=without or "no")
        self._seen.pods.record_write(created)
        if job.spec.instance_type:
            notice = instance_type_notice(job, self._settings.main_cpu, self._settings.main_memory)
            self._api.events.tell(job, notice, now)

    def _fail(self, job: PhJob, message: str, now: float) -> None:
        status = {**job.status, "phase": "Failed", "reason": "PodCreationFailed", "message": message[:1024]}
        self._change_status(job, status | {"finishTime": rfc3339(now)}, now)

    def _back_to_pending(self, job: PhJob, error: errors.StatusError, now: float) -> None:
        message = f"Back to pending due to: insufficient group/user quota: {error.message}"
        status = {**job.status, "phase": "Pending", "reason": "OverQuota", "message": message[:1024]}
        self._change_status(job, status | {"requeued": job.requeued + 1}, now)

    def _change_status(self, job: PhJob, status: Mapping[str, Any], now: float) -> None:
        self._write_status(job, Decision(status, job.artifact))
        if notice := status_notice(job, status):
            self._api.events.tell(job, notice, now)


def _who(job: PhJob) -> Fields:
    """Return the fields that name the job in log lines."""
    return {"job": job.name, "group": job.spec.group}


def _unchanged(job: PhJob) -> dict[str, str]:
    """Preconditions of a patch: the PhJob is the one that was read."""
    return {"uid": job.uid, "resourceVersion": job.version}

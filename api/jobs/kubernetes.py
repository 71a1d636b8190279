"""PhJobs in Kubernetes, cached by an informer, so that reading one costs no request.

The service account needs the permissions to get, list, watch, create and patch phjobs.primehub.io, and to get pods.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from api.errors import BadInput, NotFoundError, ServiceUnavailable, job_not_found
from api.jobs.job import Draft, Job, new_job_name, parse_cached_job, parse_job
from api.jobs.order import NEWEST_FIRST, JobOrder
from api.jobs.sorted_jobs import SortedJobs
from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from artifacts.errors import InvalidName
from artifacts.log import get_logger
from artifacts.names import group_path
from kube import errors
from kube.client import Client
from kube.informer import Informer, InformerTiming
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

PHJOBS = Resource("primehub.io", "v1alpha1", "phjobs")
STALE_SECONDS = 300.0  # without any message from the API server: five bookmarks are missing, so the cache is too old
_TIMEOUT_SECONDS = 10.0  # a user is waiting for the response
_MAX_NAMES_TRIED = 3
_DEFAULT_TIMING = InformerTiming()
_MISSING_PERMISSION = re.compile(r'User ".*" cannot ')
_NOT_INSTALLED = (
    "the cluster has no resource phjobs.primehub.io, or the namespace does not exist: "
    "ask the cluster's administrator to install PrimeHub"
)


class KubernetesJobs:
    """The PhJobs in `namespace`, watched between `start` and `stop`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        *,
        timing: InformerTiming = _DEFAULT_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        phjobs = Resource(PHJOBS.group, PHJOBS.version, PHJOBS.plural, namespace)
        self._namespace = namespace
        self._phjobs = ResourceClient(client, phjobs, timeout=_TIMEOUT_SECONDS)
        self._pods = ResourceClient(client, Resource("", "v1", "pods", namespace), timeout=_TIMEOUT_SECONDS)
        self._informer = Informer(ResourceClient(client, phjobs), parse_cached_job, timing=timing, clock=clock)
        self._sorted = SortedJobs()
        self._informer.objects.add_handler(lambda key, _old, new: self._sorted.put(key, new))

    def start(self) -> None:
        """Start the watch."""
        self._informer.start()

    def wait(self, seconds: float) -> None:
        """Wait until all PhJobs have been listed, for at most `seconds`."""
        self._informer.wait_for_sync(seconds)

    def stop(self) -> None:
        """Stop the watch."""
        self._informer.stop()

    @property
    def seconds_since_activity(self) -> float:
        """Seconds since the API server last sent anything about PhJobs."""
        return self._informer.seconds_since_activity

    def get(self, job: str) -> Job | None:
        """Return the cached PhJob, or None."""
        self.check()
        return self._cached(job)

    def read(self, job: Job) -> Job:
        """Read the PhJob from the API server."""
        with _translated_errors("get phjobs.primehub.io"):
            try:
                current = parse_job(self._phjobs.get(job.id))
            except errors.NotFound as error:
                raise job_not_found(job.id) from error
        if (current.uid, current.group) != (job.uid, job.group):  # the caller may not see another group's job
            raise job_not_found(job.id)
        return current

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        """Return all cached PhJobs in this order."""
        self.check()
        return self._sorted.all(order)

    def create(self, draft: Draft) -> Job:
        """Create a PhJob under a new name."""
        try:
            group_path(draft.group)
        except InvalidName as error:
            raise BadInput(str(error)) from error
        with _translated_errors("create phjobs.primehub.io"):
            return self._remember(self._create(draft))

    def cancel(self, job: Job) -> None:
        """Set `spec.cancel`, unless the job has ended."""
        current = self._cached(job.id) or job
        if current.uid != job.uid or not current.has_ended:
            self._patch(job, {"spec": {"cancel": True}})

    def is_collecting(self, job: Job) -> bool:
        """Whether a container of the pod may still run, or a later PhJob of the same name has not ended."""
        if self.has_active_pod(job.group, job.id):
            return True
        current = self.get(job.id)
        return current is not None and not current.has_ended

    def has_active_pod(self, group: str, job: str) -> bool:
        """Ask Kubernetes whether the pod of this name may still run."""
        with _translated_errors("get pods"):
            try:
                return is_pod_active(self._pods.get(job))
            except errors.NotFound:
                return False

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        """Set the expiry annotation; do nothing if it is already set or the PhJob is gone."""
        current = self._cached(job.id) or job
        if (current.uid, current.annotated_expiry) != (job.uid, expired_at):
            self._annotate(job, EXPIRY_ANNOTATION, expired_at)

    def annotate_missing(self, job: Job, since: int) -> None:
        """Set the missing annotation, or remove it; do nothing if it is already set or the PhJob is gone."""
        current = self._cached(job.id) or job
        if (current.uid, current.missing_since > 0) != (job.uid, since > 0):
            self._annotate(job, MISSING_ANNOTATION, since)

    def check(self) -> None:
        """Raise ServiceUnavailable if the PhJobs have not been listed, or the watch is silent."""
        if not self._informer.has_synced:
            raise ServiceUnavailable(_not_synced_message(self._informer.error, self._namespace))
        idle_seconds = self._informer.seconds_since_activity
        if idle_seconds > STALE_SECONDS:
            raise ServiceUnavailable(
                f"the Kubernetes API server has sent nothing about PhJobs for {idle_seconds:.0f} s: retry later"
            )

    def _cached(self, job: str) -> Job | None:
        return self._informer.objects.get(f"{self._namespace}/{job}")

    def _create(self, draft: Draft) -> dict[str, Any]:
        for _ in range(_MAX_NAMES_TRIED - 1):
            try:
                return self._phjobs.create(_resource(draft, new_job_name()))
            except errors.AlreadyExists:
                logger.info("generated job name already exists")
        return self._phjobs.create(_resource(draft, new_job_name()))

    def _annotate(self, job: Job, annotation: str, seconds: int) -> None:
        """Set the annotation to a time, or remove it for 0."""
        try:
            self._patch(job, {"metadata": {"annotations": {annotation: str(seconds) if seconds else None}}})
        except NotFoundError:
            reason = "the PhJob is gone"
            logger.debug("PhJob not annotated", annotation=annotation, reason=reason, group=job.group, job=job.id)

    def _patch(self, job: Job, patch: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge `patch` into this PhJob, identified by its UID: a later PhJob may have the same name."""
        own = {**patch, "metadata": {**patch.get("metadata", {}), "uid": job.uid}}
        with _translated_errors("patch phjobs.primehub.io"):
            try:
                self._remember(self._phjobs.merge(job.id, own))
            except errors.NotFound as error:
                raise job_not_found(job.id) from error
            except (errors.Invalid, errors.Conflict) as error:
                if "uid" in error.message.lower():
                    raise job_not_found(job.id) from error
                raise

    def _remember(self, written: dict[str, Any]) -> Job:
        """Put a PhJob that was just written into the cache, ahead of the watch."""
        self._informer.objects.record_write(written)
        return parse_job(written)


def is_pod_active(pod: Mapping[str, Any]) -> bool:
    """Whether a container of the pod, main or sidecar, runs or may still start.

    The phase is final only after all containers have ended, except on a lost node: then the containers' last states
    count.
    """
    status = pod.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return True
    containers = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return any((container.get("state") or {}).get("running") is not None for container in containers)


def _resource(draft: Draft, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "displayName": draft.display_name or name,
        "userId": draft.user_id,
        "userName": draft.user_name,
        "groupId": draft.group,  # only PrimeHub has the ids of groups, so the name serves as the id
        "groupName": draft.group,
        "instanceType": draft.instance_type,
        "image": draft.image,
        "command": draft.command,
    }
    if draft.active_deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = draft.active_deadline_seconds
    return {
        "apiVersion": f"{PHJOBS.group}/{PHJOBS.version}",
        "kind": "PhJob",
        "metadata": {"name": name, **({"annotations": dict(draft.options)} if draft.options else {})},
        "spec": spec,
    }


@contextmanager
def _translated_errors(permission: str) -> Iterator[None]:
    """Translate Kubernetes errors into the API's. `permission`: the one that the request needs, for the message."""
    try:
        yield
    except errors.Forbidden as error:
        if not _MISSING_PERMISSION.search(error.message):  # an admission webhook or a quota refused the request
            raise BadInput(error.message) from error
        logger.error("kubernetes request forbidden", permission=permission, error=error)
        raise ServiceUnavailable(_forbidden_message(permission)) from error
    except errors.Invalid as error:
        raise BadInput(error.message) from error
    except errors.NotFound as error:
        raise ServiceUnavailable(_NOT_INSTALLED) from error
    except errors.KubeError as error:
        logger.warning("kubernetes request failed", permission=permission, error=error)
        raise ServiceUnavailable("the Kubernetes API server cannot be reached: retry later") from error


def _forbidden_message(permission: str) -> str:
    return f"the service lacks the permission to {permission}: ask its administrator to grant it"


def _not_synced_message(error: errors.KubeError | None, namespace: str) -> str:
    if isinstance(error, errors.NotFound):
        return _NOT_INSTALLED
    if isinstance(error, errors.Forbidden):
        return _forbidden_message(f"list phjobs.primehub.io in {namespace}")
    if error:
        return "the Kubernetes API server cannot be reached, so PhJobs have not been listed yet: retry later"
    return "PhJobs are being listed: retry in a moment"

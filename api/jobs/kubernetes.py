"""PhJobs as Kubernetes has them: watched, so that reading one costs no request.

What the service account must be allowed to: list, watch, create and patch phjobs.primehub.io, get pods.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from api.errors import BadInput, NotFoundError, ServiceUnavailable, job_not_found
from api.jobs.job import Draft, Job, read_job
from api.jobs.names import new_name
from artifacts.annotation import EXPIRY_ANNOTATION
from artifacts.errors import InvalidName
from artifacts.log import get_logger
from artifacts.names import group_path
from kube import errors
from kube.client import Client
from kube.informer import Informer, InformerTiming
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

PHJOBS = Resource("primehub.io", "v1alpha1", "phjobs")
STALE_SECONDS = 300.0  # of silence, after which what was read is too old: five bookmarks did not come
_TIMEOUT_SECONDS = 10.0  # somebody waits for the answer
_NAMES_TRIED = 3
_USUAL = InformerTiming()
_LACKS_RIGHT = re.compile(r'User ".*" cannot ')
_UNKNOWN = "the cluster knows no phjobs.primehub.io, or not their namespace: let its administrator install PrimeHub"


class KubernetesJobs:
    """The PhJobs in `namespace`, from `start` to `stop`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        *,
        timing: InformerTiming = _USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        phjobs = Resource(PHJOBS.group, PHJOBS.version, PHJOBS.plural, namespace)
        self._namespace = namespace
        self._phjobs = ResourceClient(client, phjobs, timeout=_TIMEOUT_SECONDS)
        self._pods = ResourceClient(client, Resource("", "v1", "pods", namespace), timeout=_TIMEOUT_SECONDS)
        self._cache = Informer(ResourceClient(client, phjobs), read_job, timing=timing, clock=clock)

    def start(self) -> None:
        """Begin to watch."""
        self._cache.start()

    def wait(self, seconds: float) -> None:
        """Wait until all have been read, but no longer than this."""
        self._cache.wait_for_sync(seconds)

    def stop(self) -> None:
        """End it."""
        self._cache.stop()

    @property
    def seconds_since_activity(self) -> float:
        """Since the API server last said anything of PhJobs."""
        return self._cache.seconds_since_activity

    def get(self, job: str) -> Job | None:
        self.check()
        return self._known(job)

    def all(self) -> Sequence[Job]:
        self.check()
        return self._cache.objects.values()

    def create(self, draft: Draft) -> Job:
        try:
            group_path(draft.group)
        except InvalidName as error:
            raise BadInput(str(error)) from error
        with _asking("create phjobs.primehub.io"):
            return self._wrote(self._create(draft))

    def cancel(self, job: Job) -> None:
        now = self._known(job.id) or job
        if now.uid != job.uid or not now.has_ended:
            self._patch(job, {"spec": {"cancel": True}})

    def is_collecting(self, job: Job) -> bool:
        if self.may_run(job.group, job.id):
            return True
        now = self.get(job.id)
        return now is not None and not now.has_ended

    def may_run(self, group: str, job: str) -> bool:
        with _asking("get pods"):
            try:
                return may_run(self._pods.get(job))
            except errors.NotFound:
                return False

    def note_expiry(self, job: Job, expired_at: int) -> None:
        now = self._known(job.id) or job
        if (now.uid, now.annotated_expiry) == (job.uid, expired_at):
            return
        try:
            self._patch(job, {"metadata": {"annotations": {EXPIRY_ANNOTATION: str(expired_at)}}})
        except NotFoundError:
            logger.debug("gone, nothing to note", group=job.group, job=job.id)

    def check(self) -> None:
        if not self._cache.has_synced:
            raise ServiceUnavailable(_why_unread(self._cache.error, self._namespace))
        silence = self._cache.seconds_since_activity
        if silence > STALE_SECONDS:
            raise ServiceUnavailable(f"Kubernetes has said nothing of PhJobs for {silence:.0f} s: try again later")

    def _known(self, job: str) -> Job | None:
        return self._cache.objects.get(f"{self._namespace}/{job}")

    def _create(self, draft: Draft) -> dict[str, Any]:
        for _ in range(_NAMES_TRIED - 1):
            try:
                return self._phjobs.create(_document(draft, new_name()))
            except errors.AlreadyExists:
                logger.info("name taken, trying another")
        return self._phjobs.create(_document(draft, new_name()))

    def _patch(self, job: Job, patch: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge `patch` into that very PhJob: a later one of the same name is another."""
        own = {**patch, "metadata": {**patch.get("metadata", {}), "uid": job.uid}}
        with _asking("patch phjobs.primehub.io"):
            try:
                self._wrote(self._phjobs.merge(job.id, own))
            except errors.NotFound as error:
                raise job_not_found(job.id) from error
            except (errors.Invalid, errors.Conflict) as error:
                if "uid" in error.message.lower():
                    raise job_not_found(job.id) from error
                raise

    def _wrote(self, answer: dict[str, Any]) -> Job:
        self._cache.objects.record_write(answer)
        return read_job(answer)


def may_run(pod: Mapping[str, Any]) -> bool:
    """Whether a container of the pod, main or sidecar, runs or may yet. Its phase is final only once all have ended.

    A pod of a lost node may get a final phase without that; then its containers' last states are believed.
    """
    status = pod.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return True
    containers = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return any((container.get("state") or {}).get("running") is not None for container in containers)


def _document(draft: Draft, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "displayName": draft.display_name or name,
        "userId": draft.user_id,
        "userName": draft.user_name,
        "groupId": draft.group,  # ids are PrimeHub's own: where they are unknown the name is the id
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
        "metadata": {"name": name},
        "spec": spec,
    }


@contextmanager
def _asking(right: str) -> Iterator[None]:
    """Tell what Kubernetes refuses in the API's words. `right`: what the service account needs for it."""
    try:
        yield
    except errors.Forbidden as error:
        if not _LACKS_RIGHT.search(error.message):  # an admission webhook, a quota
            raise BadInput(error.message) from error
        logger.error("forbidden", right=right, error=error)
        raise ServiceUnavailable(f"the service may not {right}: let its administrator grant that right") from error
    except errors.Invalid as error:
        raise BadInput(error.message) from error
    except errors.NotFound as error:
        raise ServiceUnavailable(_UNKNOWN) from error
    except errors.KubeError as error:
        logger.warning("request failed", right=right, error=error)
        raise ServiceUnavailable("Kubernetes cannot be reached at the moment: try again later") from error


def _why_unread(error: errors.KubeError | None, namespace: str) -> str:
    if isinstance(error, errors.NotFound):
        return _UNKNOWN
    if isinstance(error, errors.Forbidden):
        return f"the service may not list phjobs.primehub.io in {namespace}: let its administrator grant that right"
    if error:
        return "Kubernetes cannot be reached, so PhJobs are not known yet: try again later"
    return "PhJobs are being listed: try again in a moment"

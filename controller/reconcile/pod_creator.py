"""Creates the pods of jobs, and replaces pods that the webhook did not review.

The API server admits a pod unchanged if it cannot call the webhook, for example because a webhook pod was just killed.
The pod in its response shows that.
"""

from collections.abc import Callable, Mapping
from typing import Any

from artifacts.log import get_logger
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import read_pod
from controller.reconcile.settings import ReconcilerSettings
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)

_MAX_REPLACEMENTS = 2  # of one pod
_WEBHOOK_DOWN_SECONDS = 30.0  # after replacements did not help, for which pods are not replaced


class PodCreator:
    """Creates pods. `is_injecting` returns whether the webhook is expected to review them. Thread-safe."""

    def __init__(self, pods: ResourceClient, settings: ReconcilerSettings, is_injecting: Callable[[], bool]) -> None:
        self._pods, self._settings, self._is_injecting = pods, settings, is_injecting
        self._webhook_down_until = 0.0

    def create(self, job: PhJob, document: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Create the job's pod and return it.

        A pod that was not reviewed is replaced before it is scheduled. The deletion requires the version that was
        created, so a pod that got its node, whose main may run, stays.

        Raises:
            KubeError: the API server refused the pod or did not answer.
        """
        created = self._pods.create(document)
        if now < self._webhook_down_until:
            return created
        for _ in range(_MAX_REPLACEMENTS):
            if not self._was_missed(created) or not self._delete(created):
                return created
            logger.info("pod replaced, the webhook did not review it", job=job.name, group=job.group)
            created = self._pods.create(document)
        if self._was_missed(created):
            self._webhook_down_until = now + _WEBHOOK_DOWN_SECONDS
        return created

    def _was_missed(self, created: Mapping[str, Any]) -> bool:
        """Whether the webhook should have reviewed the pod, but did not leave its annotation."""
        pod = read_pod(created)
        was_reviewed = pod.has_sidecar or bool(pod.decline_reason) or pod.is_opted_out
        return not was_reviewed and self._settings.collects and self._is_injecting()

    def _delete(self, created: Mapping[str, Any]) -> bool:
        """Delete the pod if nothing has changed it; return whether it is deleted."""
        metadata = created["metadata"]
        name, uid, version = metadata["name"], metadata["uid"], metadata["resourceVersion"]
        try:
            self._pods.delete(name, uid=uid, version=version, grace_seconds=0)
        except (errors.Conflict, errors.NotFound):
            return False
        return True

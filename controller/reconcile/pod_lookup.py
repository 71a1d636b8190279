"""Looks up a job's pod. Deleted pods are remembered until their outcome has been reported."""

import threading
from collections import OrderedDict
from dataclasses import replace

from controller.reconcile.artifact_status import ArtifactStatus
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod, read_pod
from kube import errors
from kube.indexer import Indexer
from kube.objects import ResourceClient

_MAX_DELETED_PODS = 1024


class PodLookup:
    """Finds pods by the key of their PhJob, in the index of watched pods or at the API server. Thread-safe."""

    def __init__(self, pods: ResourceClient, index: Indexer[Pod]) -> None:
        self._pods, self._index = pods, index
        self._lock = threading.Lock()
        self._deleted: OrderedDict[str, Pod] = OrderedDict()
        self._unwatched: set[str] = set()
        index.add_handler(self._remember_deleted)

    def find(self, key: str, job: PhJob, reported: ArtifactStatus | None) -> Pod | None:
        """Return the pod, or its last known state if it was deleted. Raises KubeError.

        `reported` is the last artifact status that was written. The index alone does not prove that there is no pod,
        so the API server is asked: the watch may be late, the pod may have been replaced, and a pod whose label was
        removed leaves the watch but continues to run.
        """
        if pod := self._index.get(key):
            self._unwatched.discard(key)
            return pod
        deleted = self._deleted_pod(key, job)
        is_expected = (reported and reported.is_pending) or (job.started_at is not None and not job.has_ended)
        if not (deleted or is_expected or key in self._unwatched):
            return None
        try:
            current = read_pod(self._pods.get(job.name))
        except errors.NotFound:
            self._unwatched.discard(key)
            return deleted
        if not (deleted and reported and reported.is_pending) or deleted.uid == current.uid:
            return current
        return deleted if reported.pod_uid == deleted.uid else current  # report its outcome before its successor's

    def mark_unwatched(self, key: str) -> None:
        """Record that a pod of this name exists that the watch may never show, because it lacks our label."""
        self._unwatched.add(key)

    def forget(self, key: str) -> None:
        """Forget the job's deleted pod after its outcome has been reported."""
        self._unwatched.discard(key)
        with self._lock:
            self._deleted.pop(key, None)

    def _deleted_pod(self, key: str, job: PhJob) -> Pod | None:
        with self._lock:
            deleted = self._deleted.get(key)
        return deleted if deleted and deleted.owner_uid == job.uid else None

    def _remember_deleted(self, key: str, old: Pod | None, new: Pod | None) -> None:
        """Remember the last state of a deleted pod: the pod object is removed as soon as its containers have ended."""
        if old is None or new is not None:
            return
        with self._lock:
            self._deleted[key] = replace(old, is_gone=True)
            self._deleted.move_to_end(key)
            if len(self._deleted) > _MAX_DELETED_PODS:
                self._deleted.popitem(last=False)

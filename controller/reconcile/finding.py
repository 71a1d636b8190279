"""Finds a job's pod as it is now, or as it was seen last: what it left may not have been told of yet."""

import threading
from collections import OrderedDict
from dataclasses import replace

from controller.reconcile.artifact import Artifact
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod, read_pod
from kube import errors
from kube.indexer import Indexer
from kube.objects import ResourceClient

_MOST_DEPARTED = 1024


class PodFinder:
    """Thread-safe. `pods`: the API server's; `known`: what the watch has shown of them, by the PhJob's key."""

    def __init__(self, pods: ResourceClient, known: Indexer[Pod]) -> None:
        self._pods, self._known = pods, known
        self._lock = threading.Lock()
        self._departed: OrderedDict[str, Pod] = OrderedDict()
        self._unseen: set[str] = set()
        known.add_handler(self._note_departure)

    def find(self, key: str, job: PhJob, told: Artifact | None) -> Pod | None:
        """The pod as it is or was. `told`: what was told last of the job's artifacts. Raises KubeError.

        Before it is said that there is none, the API server is asked itself: the watch may be behind, another pod may
        have come since one went, and who takes the label off a pod does not end it.
        """
        if pod := self._known.get(key):
            self._unseen.discard(key)
            return pod
        departed = self._departure(key, job)
        is_under_way = (told and told.is_pending) or (job.started_at is not None and not job.has_ended)
        if not (departed or is_under_way or key in self._unseen):
            return None
        try:
            found = read_pod(self._pods.get(job.name))
        except errors.NotFound:
            self._unseen.discard(key)
            return departed
        if departed and departed.uid != found.uid and told and told.is_pending and told.pod_uid == departed.uid:
            return departed  # what it left is told of first
        return found

    def note_unseen(self, key: str) -> None:
        """There is a pod of that name that the watch has not shown; another's, without our label, it never will."""
        self._unseen.add(key)

    def forget(self, key: str) -> None:
        """All has been told of the job's pod that went."""
        self._unseen.discard(key)
        with self._lock:
            self._departed.pop(key, None)

    def _departure(self, key: str, job: PhJob) -> Pod | None:
        with self._lock:
            departed = self._departed.get(key)
        return departed if departed and departed.owner_uid == job.uid else None

    def _note_departure(self, key: str, old: Pod | None, new: Pod | None) -> None:
        """Its last state may be what tells of its end: a pod that was deleted goes as soon as its containers have."""
        if old is None or new is not None:
            return
        with self._lock:
            self._departed[key] = replace(old, gone=True)
            self._departed.move_to_end(key)
            if len(self._departed) > _MOST_DEPARTED:
                self._departed.popitem(last=False)

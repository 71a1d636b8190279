"""Pauses injection while sidecars fail repeatedly: running a job is more important than its artifacts.

A sidecar that cannot start blocks its job. If another controller runs the PhJobs, nothing can be done for an existing
pod; if we run them, each job still loses half a minute. Only failures of the configured sidecar count, and only
consecutive ones, with no working sidecar in between.

- After failures of several owners, injection is paused for all; after several failures of one owner, only for that
  owner's pods. So the pods of one user never switch injection off for others.
- A pause lasts 15 minutes, each following one twice as long, at most a day. After it, the webhook injects single pods
  (`pause_gate`). A sidecar that works ends the pause; failures begin the next one.

"Consecutive" refers to the creation times of the pods, because a new leader reviews all pods in any order. The record
(`injection_pauses`) is shared by all replicas, and its times keep pods created before a pause from counting again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from artifacts.log import get_logger
from controller.documents import format_time, mapping_field, text_field
from controller.injection_pauses import (
    ALL,
    CONFIG_MAP,
    RESUMED_AT_ANNOTATION,
    Pause,
    Pauses,
    format_pauses,
    next_pause,
    read_pauses,
    read_resumed_at,
)
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF
from controller.reconcile.pod import Pod
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)
_MAX_RECORDED_PODS = 4096
_MIN_OWNERS = 2  # whose sidecars must fail before injection is paused for all


class FailureResult(Enum):
    """The effect of a reported failure: counted before, counted now, or now and injection was paused."""

    ALREADY_COUNTED, COUNTED, PAUSED_FOR_OWNER, PAUSED_FOR_ALL = range(4)


@dataclass(frozen=True)
class SidecarFailure:
    """The failure of a sidecar: the UID of its pod, when the pod was created, and the key of its owner.

    If it does not count, it is only remembered.
    """

    uid: str
    created_at: float
    owner: str
    counts: bool = True


class Breaker:
    """Counts consecutive failures and pauses injection at `max_failures`; 0 disables it. Thread-safe.

    Times are UNIX seconds.
    """

    def __init__(
        self,
        namespaces: ResourceClient,
        config_maps: ResourceClient,
        namespace: str,
        max_failures: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._namespaces, self._config_maps, self._namespace = namespaces, config_maps, namespace
        self._max_failures, self._now = max_failures, now
        self._lock = threading.Lock()
        self._recorded: OrderedDict[str, SidecarFailure] = OrderedDict()  # by UID
        self._pauses: Pauses = {}
        self._resumed_at = 0.0
        self.is_disabled = False  # by a person, with the namespace's label

    @property
    def is_off(self) -> bool:
        """Whether injection is disabled, paused, or on probation for all pods."""
        return self.is_disabled or ALL in self._pauses

    @property
    def paused_owners(self) -> int:
        """The number of owners for whom injection is paused, or on probation."""
        return len(self._pauses.keys() - {ALL})

    @property
    def remedy(self) -> str:
        """The command that ends all pauses at once."""
        resumed_at = f"{RESUMED_AT_ANNOTATION}=$(date -u +%FT%TZ)"
        return f"kubectl -n {self._namespace} annotate configmap {CONFIG_MAP} --overwrite {resumed_at}"

    def refresh(self) -> None:
        """Read whether injection is disabled, and the pauses."""
        try:
            metadata = mapping_field(self._namespaces.get(self._namespace), "metadata")
            config_map = self._config_maps.get(CONFIG_MAP)
        except errors.KubeError as error:
            logger.warning("cannot read whether injection is paused", namespace=self._namespace, error=error)
            return
        self.is_disabled = text_field(mapping_field(metadata, "labels"), INJECTION_LABEL) == INJECTION_OFF
        self._read(config_map)

    def _read(self, config_map: Mapping[str, Any]) -> None:
        self._pauses, self._resumed_at = read_pauses(config_map), read_resumed_at(config_map)

    def record_failure(self, failure: SidecarFailure, last_working_at: Callable[[str], float]) -> FailureResult:
        """Record that a sidecar prevents main from starting, or crashed beside main.

        `last_working_at` returns the creation time of the newest pod whose sidecar works, of an owner or of ALL.
        """
        with self._lock:
            if failure.uid in self._recorded:
                return FailureResult.ALREADY_COUNTED
            self._recorded[failure.uid] = failure
            if len(self._recorded) > _MAX_RECORDED_PODS:
                self._recorded.popitem(last=False)
        for key, result in ((ALL, FailureResult.PAUSED_FOR_ALL), (failure.owner, FailureResult.PAUSED_FOR_OWNER)):
            if failure.counts and self._trips(key, last_working_at):
                self.refresh()  # another leader may have paused injection since
                if self._trips(key, last_working_at) and self._pause(key):
                    return result
        return FailureResult.COUNTED

    def record_working(self, pod: Pod) -> None:
        """Record that the sidecar of a pod works: pauses that began before the pod was created are over."""
        ended = [key for key in (ALL, pod.owner) if key in self._pauses and self._pauses[key].since <= pod.created_at]
        if not ended:
            return
        if self._write(dict.fromkeys(ended)):
            logger.info("injection resumed, a sidecar works", ended=",".join(ended))

    def _trips(self, key: str, last_working_at: Callable[[str], float]) -> bool:
        """Whether the failures of an owner, or of ALL, begin a pause.

        On probation, one failure of an owner is enough. For all, failures of several owners are needed again.
        """
        if not self._max_failures:
            return False
        pause = self._pauses.get(key)
        if pause and pause.is_active(self._now()):
            return False
        since = max(self._resumed_at, pause.since if pause else 0.0)
        if not self._suffice(key, since, is_probation=pause is not None):
            return False
        return self._suffice(key, max(since, last_working_at(key)), is_probation=pause is not None)

    def _suffice(self, key: str, since: float, *, is_probation: bool) -> bool:
        """Whether enough pods that were created after `since` failed."""
        with self._lock:
            failures = [failure for failure in self._recorded.values() if failure.counts and failure.created_at > since]
        if key == ALL:
            return len({failure.owner for failure in failures}) >= max(_MIN_OWNERS, self._max_failures)
        return sum(failure.owner == key for failure in failures) >= (1 if is_probation else self._max_failures)

    def _pause(self, key: str) -> bool:
        with self._lock:
            newest = max((failure.created_at for failure in self._recorded.values()), default=0.0)
        pause = next_pause(self._pauses.get(key), max(self._now(), newest))
        if not self._write({key: pause}):
            return False
        logger.error("injection paused, sidecars failed", pods=key, until=format_time(pause.until), remedy=self.remedy)
        return True

    def until(self, key: str) -> str:
        """Return when the pause of an owner, or of ALL, ends, as RFC 3339."""
        pause: Pause | None = self._pauses.get(key)
        return format_time(pause.until) if pause else ""

    def _write(self, changes: Mapping[str, Pause | None]) -> bool:
        """Set or remove pauses; return whether that succeeded. The next failure, or working sidecar, retries."""
        try:
            document = self._config_maps.get(CONFIG_MAP)
            changed = {**read_pauses(document), **changes}
            pauses = {key: pause for key, pause in changed.items() if pause is not None}
            written = {**document, "data": format_pauses(pauses, self._now())}
            self._read(self._config_maps.replace(CONFIG_MAP, written))
        except errors.KubeError as error:
            logger.error("cannot change whether injection is paused", namespace=self._namespace, error=error)
            return False
        return True

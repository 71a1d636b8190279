"""What the reconciler keeps in memory of a PhJob's pod, read from its document. Pure.

A pod with a native sidecar is Pending until main runs and Running until the sidecar has ended: what happened to the
job is told by main's own state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.inject.pod import MAIN, ORIGINAL_GRACE, OUTCOME, SIDECAR
from controller.reconcile.documents import moment, named, number, part, parts, text, whole
from controller.reconcile.names import ENABLED, WITHOUT

_MOST_SUMMARY = 4096
_USUAL_GRACE = 30  # Kubernetes' own, where a pod does not say
_KILLED = (137, 143)  # by SIGKILL, SIGTERM
_WAITS_IN_ORDER = ("PodInitializing", "ContainerCreating")
_LOST = "ContainerStatusUnknown"  # what a kubelet says of a container that it has removed before it looked


@dataclass(frozen=True, slots=True)
class State:
    """A container's. Times are UNIX seconds, None where it did not start or end. `waiting`: a reason, when it waits.

    `said`: the termination message of its present end, or of the one before its restart. `lost`: the kubelet knows
    of an end nothing but that it was; the exit code and the words that it then gives are its own.
    """

    started_at: float | None = None
    ended: bool = False
    finished_at: float | None = None
    exit_code: int | None = None
    reason: str = ""
    waiting: str = ""
    message: str = ""
    restarts: int = 0
    said: str = ""
    lost: bool = False

    @property
    def trouble(self) -> str:
        """Why it does not start, where the kubelet tells a failure."""
        return "" if self.waiting in _WAITS_IN_ORDER else self.waiting

    @property
    def has_failed(self) -> bool:
        """Whether it ended badly by itself, not because it was killed."""
        return self.ended and self.exit_code not in (None, 0, *_KILLED)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `deleting_at`: when it should be gone, once it was deleted. `scheduled_at`: when it got its node.

    `startable_at`: since when its volumes and network are there, before which no container can start; where an older
    kubelet does not say, as `scheduled_at`. `gone`: it is no more there, and this is what was seen of it last.
    """

    name: str
    uid: str
    version: str
    owner_uid: str
    created_at: float
    deleting_at: float | None
    phase: str
    reason: str
    message: str
    scheduled_at: float | None
    unscheduled: str
    startable_at: float | None
    grace_seconds: int
    original_grace_seconds: int | None
    injected: bool
    opted_out: bool
    declined: str
    without: str
    main: State
    sidecar: State
    gone: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether all its containers have ended."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def main_started(self) -> bool:
        return not self.never_ran and (self.main.started_at is not None or self.main.ended)

    @property
    def never_ran(self) -> bool:
        """Whether it was deleted before main started: kubelet then tells an end of main (exit code 137) all the same.

        Of a main that ran it may tell the same, when it has lost sight of the container: then the PhJob knows better.
        """
        return self.is_deleting and self.main.started_at is None

    @property
    def main_ended(self) -> bool:
        return self.main.ended or self.is_finished

    @property
    def is_deleting(self) -> bool:
        return self.deleting_at is not None or self.gone


def read_pod(document: Mapping[str, Any]) -> Pod:
    """The pod in a document."""
    metadata, spec, status = (part(document, name) for name in ("metadata", "spec", "status"))
    annotations = part(metadata, "annotations")
    owner = next((each for each in parts(metadata, "ownerReferences") if each.get("kind") == "PhJob"), {})
    scheduled, startable = (_condition(status, name) for name in ("PodScheduled", "PodReadyToStartContainers"))
    grace = whole(spec, "terminationGracePeriodSeconds")
    told = text(annotations, OUTCOME, 64)
    return Pod(
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        version=text(metadata, "resourceVersion"),
        owner_uid=text(owner, "uid"),
        created_at=moment(metadata, "creationTimestamp") or 0.0,
        deleting_at=moment(metadata, "deletionTimestamp"),
        phase=text(status, "phase"),
        reason=text(status, "reason"),
        message=text(status, "message"),
        scheduled_at=_since(scheduled),
        unscheduled="" if scheduled.get("status") == "True" else text(scheduled, "message"),
        startable_at=_since(startable or scheduled),
        grace_seconds=_USUAL_GRACE if grace is None else grace,
        original_grace_seconds=number(text(annotations, ORIGINAL_GRACE)),
        injected=bool(named(parts(spec, "initContainers"), SIDECAR)) and told == "injected",
        opted_out=_is_opted_out(annotations, named(parts(spec, "containers"), MAIN)),
        declined="" if told == "injected" else told,
        without=text(annotations, WITHOUT, 64),
        main=_state(named(parts(status, "containerStatuses"), MAIN)),
        sidecar=_state(named(parts(status, "initContainerStatuses"), SIDECAR)),
    )


def _is_opted_out(annotations: Mapping[str, Any], main: Mapping[str, Any]) -> bool:
    """Whether the pod says that it wants no sidecar. An injected pod's main says so too: to PrimeHub's wrapper."""
    told = text(annotations, ENABLED) or text(named(parts(main, "env"), "PHJOB_ARTIFACT_ENABLED"), "value")
    return told.strip().lower() == "false"


def _condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((each for each in parts(status, "conditions") if each.get("type") == name), {})


def _since(condition: Mapping[str, Any]) -> float | None:
    """Since when it holds; None where it does not."""
    return moment(condition, "lastTransitionTime") if condition.get("status") == "True" else None


def _state(status: Mapping[str, Any]) -> State:
    state, last = part(status, "state"), part(part(status, "lastState"), "terminated")
    waiting, running, ended = (part(state, name) for name in ("waiting", "running", "terminated"))
    began = moment(running, "startedAt") or moment(ended, "startedAt") or moment(last, "startedAt")
    known, before = ({} if _is_lost(each) else each for each in (ended, last))
    return State(
        started_at=began,
        ended="terminated" in state,
        finished_at=moment(known, "finishedAt"),
        exit_code=_exit_code(known),
        reason=text(known, "reason", 128),
        waiting=text(waiting, "reason", 128),
        message=text(waiting, "message") or text(known, "message"),
        restarts=whole(status, "restartCount") or 0,
        said=text(known, "message", _MOST_SUMMARY) or text(before, "message", _MOST_SUMMARY),
        lost=_is_lost(ended) or _is_lost(last),
    )


def _is_lost(ended: Mapping[str, Any]) -> bool:
    return text(ended, "reason") == _LOST


def _exit_code(ended: Mapping[str, Any]) -> int | None:
    code = ended.get("exitCode")
    return code if type(code) is int else None

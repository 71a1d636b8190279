"""What the reconciler stores in memory about a PhJob's pod. Pure.

A pod with a native sidecar has the phase Pending until main runs, and Running until the sidecar has ended. The job's
progress must therefore be read from main's own state.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.documents import (
    find_named,
    integer_field,
    mapping_field,
    mapping_list,
    parse_integer,
    text_field,
    time_field,
)
from controller.inject.container import COMMAND
from controller.inject.mounts import MASK
from controller.inject.pod import (
    INJECTED,
    MAIN,
    ORIGINAL_GRACE_ANNOTATION,
    OUTCOME_ANNOTATION,
    has_annotation_room,
)
from controller.inject.traces import is_sidecar
from controller.inject.wrapper import copies_artifacts
from controller.injection_pauses import pod_owner
from controller.reconcile.names import ENABLED_ANNOTATION, NO_SIDECAR_ANNOTATION

_MAX_SUMMARY_CHARACTERS = 4096
_DEFAULT_GRACE_SECONDS = 30  # Kubernetes' default for terminationGracePeriodSeconds
_MAX_SKEW_SECONDS = 60  # between the clocks of the API server, the scheduler and the kubelet
_KILLED_EXIT_CODES = (137, 143)  # SIGKILL, SIGTERM
_NORMAL_WAITING = ("PodInitializing", "ContainerCreating")
_LOST = "ContainerStatusUnknown"  # the kubelet's reason if it removed a container before reading its end


@dataclass(frozen=True, slots=True)
class ContainerState:
    """The state of a container. Times are UNIX seconds, None if it did not start or end.

    `waiting_reason` is set while it waits. If it `awaits_probe`, it runs, but its startup probe has not succeeded yet.
    `termination_message` is that of its end, or of the end before its last restart. If `is_lost`, the kubelet knows
    only that the container ended; the exit code and the message that it then reports are made up and are ignored.
    """

    started_at: float | None = None
    has_ended: bool = False
    finished_at: float | None = None
    exit_code: int | None = None
    reason: str = ""
    waiting_reason: str = ""
    message: str = ""
    restart_count: int = 0
    awaits_probe: bool = False
    termination_message: str = ""
    is_lost: bool = False

    @property
    def start_error(self) -> str:
        """The kubelet's reason if the container cannot start, or ""."""
        return "" if self.waiting_reason in _NORMAL_WAITING else self.waiting_reason

    @property
    def has_failed(self) -> bool:
        """Whether it ended with an error of its own, not because it was killed."""
        return self.has_ended and self.exit_code not in (None, 0, *_KILLED_EXIT_CODES)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. Times are UNIX seconds.

    `deletion_at` is the deletionTimestamp: when the grace period of the deletion ends. `scheduled_at` is when the pod
    got its node, and `startable_at` when its volumes and network were ready, which no container starts before; older
    kubelets do not report that, so it is `scheduled_at` then. `decline_reason` is why the webhook did not inject the
    sidecar, `no_sidecar_reason` why the reconciler created the pod without it. `retention_seconds` is the retention of
    its artifacts, which the sidecar was configured with; 0 if unknown. `has_other_running`: whether a regular container
    other than main runs; the kubelet ends the sidecar after all of them. `has_wrapper`: whether PrimeHub's wrapper in
    main copies the artifacts. If `is_gone`, the pod no longer exists, and this is its last known state. If
    `is_changed`, another webhook changed or removed the sidecar after injection, so that it collects nothing; if it
    also `blocks_main`, it is an ordinary init container, for whose end main waits. `warning` is the kubelet's latest
    Event of type Warning if nothing else explains why the pod does not start; it is not part of the document. `owner`
    is a key of `injection_pauses`, `sidecar_image` the sidecar's image in the spec; `runs_sidecar` is false if it runs
    another command. Times from a kubelet whose clock is behind are corrected.
    """

    name: str
    uid: str
    resource_version: str
    owner_uid: str
    created_at: float
    deletion_at: float | None
    phase: str
    reason: str
    message: str
    scheduled_at: float | None
    scheduling_error: str
    startable_at: float | None
    grace_seconds: int
    original_grace_seconds: int | None
    has_sidecar: bool
    is_opted_out: bool
    decline_reason: str
    no_sidecar_reason: str
    main: ContainerState
    sidecar: ContainerState
    retention_seconds: int = 0
    has_other_running: bool = False
    has_wrapper: bool = False
    is_gone: bool = False
    is_changed: bool = False
    blocks_main: bool = False
    warning: str = ""
    owner: str = ""
    sidecar_image: str = ""
    runs_sidecar: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether all its containers have ended."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def has_main_started(self) -> bool:
        """Whether main has started, including a main that has ended."""
        return not self.has_never_run and (self.main.started_at is not None or self.main.has_ended)

    @property
    def has_never_run(self) -> bool:
        """Whether the pod was deleted before main started. The kubelet reports an end of main (137) even then.

        It can report the same for a main that ran but whose status it lost; then only the PhJob's status shows that
        main ran.
        """
        return self.is_deleting and self.main.started_at is None

    @property
    def has_main_ended(self) -> bool:
        """Whether main has ended."""
        return self.main.has_ended or self.is_finished

    @property
    def is_deleting(self) -> bool:
        """Whether the pod is being deleted, or is gone."""
        return self.deletion_at is not None or self.is_gone


def read_pod(document: Mapping[str, Any]) -> Pod:
    """Return the pod in a document."""
    metadata, spec, status = (mapping_field(document, name) for name in ("metadata", "spec", "status"))
    annotations = mapping_field(metadata, "annotations")
    owner = next((owner for owner in mapping_list(metadata, "ownerReferences") if owner.get("kind") == "PhJob"), {})
    scheduled, startable = (_condition(status, name) for name in ("PodScheduled", "PodReadyToStartContainers"))
    created_at, scheduled_at = time_field(metadata, "creationTimestamp") or 0.0, _true_since(scheduled)
    behind_seconds = _clock_behind_seconds(time_field(status, "startTime"), created_at, scheduled_at)
    # The webhook does not annotate a pod if its annotations leave no room.
    outcome = text_field(annotations, OUTCOME_ANNOTATION, 64) or (
        "" if has_annotation_room(annotations) else "annotations-full"
    )
    sidecar = _find_sidecar(spec, is_annotated=outcome == INJECTED)
    is_native = sidecar.get("restartPolicy") == "Always"
    is_changed = not is_native and _has_traces(spec, outcome, sidecar)
    main_state = _container_state(find_named(mapping_list(status, "containerStatuses"), MAIN))
    sidecar_name = text_field(sidecar, "name")
    sidecar_state = _container_state(find_named(mapping_list(status, "initContainerStatuses"), sidecar_name))
    grace_seconds = integer_field(spec, "terminationGracePeriodSeconds")
    return Pod(
        name=text_field(metadata, "name"),
        uid=text_field(metadata, "uid"),
        resource_version=text_field(metadata, "resourceVersion"),
        owner_uid=text_field(owner, "uid"),
        created_at=created_at,
        deletion_at=time_field(metadata, "deletionTimestamp"),
        phase=text_field(status, "phase"),
        reason=text_field(status, "reason"),
        message=text_field(status, "message"),
        scheduled_at=scheduled_at,
        scheduling_error="" if scheduled.get("status") == "True" else text_field(scheduled, "message"),
        startable_at=_later(_true_since(startable), behind_seconds) if startable else scheduled_at,
        grace_seconds=_DEFAULT_GRACE_SECONDS if grace_seconds is None else grace_seconds,
        original_grace_seconds=parse_integer(text_field(annotations, ORIGINAL_GRACE_ANNOTATION)),
        has_sidecar=is_native,
        is_opted_out=outcome != INJECTED and _is_opted_out(annotations, spec),
        decline_reason=_decline_reason(outcome, is_changed=is_changed),
        no_sidecar_reason=text_field(annotations, NO_SIDECAR_ANNOTATION, 64),
        main=_shift(main_state, behind_seconds),
        sidecar=_shift(sidecar_state, behind_seconds),
        retention_seconds=_retention_seconds(sidecar),
        has_other_running=_has_other_running(status),
        is_changed=is_changed,
        blocks_main=is_changed and bool(sidecar),
        has_wrapper=copies_artifacts(find_named(mapping_list(spec, "containers"), MAIN)),
        owner=pod_owner(metadata),
        sidecar_image=text_field(sidecar, "image"),
        runs_sidecar=sidecar.get("command") == COMMAND,
    )


def _find_sidecar(spec: Mapping[str, Any], *, is_annotated: bool) -> Mapping[str, Any]:
    """Return the sidecar, which another webhook may have renamed, or an empty object."""
    containers = mapping_list(spec, "initContainers")
    return next((container for container in containers if is_sidecar(container, is_annotated=is_annotated)), {})


def _has_traces(spec: Mapping[str, Any], outcome: str, sidecar: Mapping[str, Any]) -> bool:
    """Whether the webhook injected the pod, even if another webhook removed the annotation or the container."""
    has_volume = bool(find_named(mapping_list(spec, "volumes"), MASK))
    return bool(sidecar) or outcome == INJECTED or (not outcome and has_volume)


def _decline_reason(outcome: str, *, is_changed: bool) -> str:
    if is_changed:
        return "changed"
    return "" if outcome == INJECTED else outcome


def _has_other_running(status: Mapping[str, Any]) -> bool:
    containers = mapping_list(status, "containerStatuses")
    return any(other.get("name") != MAIN and "running" in mapping_field(other, "state") for other in containers)


def _is_opted_out(annotations: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether a pod without the sidecar opts out.

    Do not ask that of a pod annotated as injected: older versions of the webhook set the variable in such pods.
    """
    main = find_named(mapping_list(spec, "containers"), MAIN)
    variable = text_field(find_named(mapping_list(main, "env"), "PHJOB_ARTIFACT_ENABLED"), "value")
    return (text_field(annotations, ENABLED_ANNOTATION) or variable).strip().lower() == "false"


def _clock_behind_seconds(accepted_at: float | None, created_at: float, scheduled_at: float | None) -> float:
    """Return by how much the kubelet's clock is behind; 0 if it is not, or by less than a minute.

    The kubelet's `startTime` of the pod cannot be before the pod was created and scheduled, and the API server and the
    scheduler wrote those times.
    """
    behind_seconds = max(created_at, scheduled_at or 0.0) - (accepted_at or math.inf)
    return behind_seconds if behind_seconds > _MAX_SKEW_SECONDS else 0.0


def _shift(state: ContainerState, seconds: float) -> ContainerState:
    """Return the state with its times moved by the error of the kubelet's clock."""
    if not seconds:
        return state
    started_at, finished_at = _later(state.started_at, seconds), _later(state.finished_at, seconds)
    return replace(state, started_at=started_at, finished_at=finished_at)


def _later(at: float | None, seconds: float) -> float | None:
    return None if at is None else at + seconds


def _retention_seconds(sidecar: Mapping[str, Any]) -> int:
    """Return the retention in the sidecar's environment; users cannot change it after the pod's creation."""
    value = text_field(find_named(mapping_list(sidecar, "env"), "PHJOB_ARTIFACT_RETENTION_SECONDS"), "value", 16)
    return max(0, parse_integer(value) or 0)


def _condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    conditions = mapping_list(status, "conditions")
    return next((condition for condition in conditions if condition.get("type") == name), {})


def _true_since(condition: Mapping[str, Any]) -> float | None:
    """Return when the condition became true; None if it is not true."""
    return time_field(condition, "lastTransitionTime") if condition.get("status") == "True" else None


def _container_state(status: Mapping[str, Any]) -> ContainerState:
    state, last = mapping_field(status, "state"), mapping_field(mapping_field(status, "lastState"), "terminated")
    waiting, running, terminated = (mapping_field(state, name) for name in ("waiting", "running", "terminated"))
    started_at = (
        time_field(running, "startedAt") or time_field(terminated, "startedAt") or time_field(last, "startedAt")
    )
    end, previous_end = ({} if _is_lost(end) else end for end in (terminated, last))
    return ContainerState(
        started_at=started_at,
        has_ended="terminated" in state,
        finished_at=time_field(end, "finishedAt"),
        exit_code=_exit_code(end),
        reason=text_field(end, "reason", 128),
        waiting_reason=text_field(waiting, "reason", 128),
        message=text_field(waiting, "message") or text_field(end, "message"),
        restart_count=integer_field(status, "restartCount") or 0,
        awaits_probe="running" in state and status.get("started") is False,
        termination_message=(
            text_field(end, "message", _MAX_SUMMARY_CHARACTERS)
            or text_field(previous_end, "message", _MAX_SUMMARY_CHARACTERS)
        ),
        is_lost=_is_lost(terminated) or _is_lost(last),
    )


def _is_lost(terminated: Mapping[str, Any]) -> bool:
    return text_field(terminated, "reason") == _LOST


def _exit_code(terminated: Mapping[str, Any]) -> int | None:
    code = terminated.get("exitCode")
    return code if type(code) is int else None

"""Documents of PhJobs and their pods for tests of the reconciler, with container states as the kubelet reports them."""

import json
import time
from collections.abc import Mapping
from typing import Any

from controller.inject.container import COMMAND
from controller.reconcile.phjob import PhJob, read_phjob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.settings import ReconcilerSettings

Document = dict[str, Any]

NOW = 1_800_000_000.0
UID, POD_UID = "job-uid", "pod-uid"
_ENVIRON = {"PHJOB_CONTROLLER_NAMESPACE": "ns", "PHJOB_CONTROLLER_LISTEN": ""}
SETTINGS = ReconcilerSettings.from_env(_ENVIRON)
WATCHING = ReconcilerSettings.from_env(_ENVIRON | {"PHJOB_CONTROLLER_RECONCILE": "false"})


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def job_document(status: Mapping[str, Any] | None = None, **spec: Any) -> Document:
    return {
        "apiVersion": "primehub.io/v1alpha1",
        "kind": "PhJob",
        "metadata": {"name": "job", "namespace": "ns", "uid": UID, "resourceVersion": "7"},
        "spec": {"groupName": "Team_A", "userName": "ann", "image": "python", "command": "true", **spec},
        **({"status": dict(status)} if status else {}),
    }


def job(status: Mapping[str, Any] | None = None, **spec: Any) -> PhJob:
    return read_phjob(job_document(status, **spec))


def pod_document(  # noqa: PLR0913 - the columns of tables
    *,
    main: Document | None = None,
    sidecar: Document | None = None,
    phase: str = "Pending",
    created: float = NOW,
    scheduled: float | None = NOW,
    deleting: float | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: str = UID,
    uid: str = POD_UID,
    accepted: float | None = None,
    retention: str | None = None,
    other: Document | None = None,
) -> Document:
    """Return a pod. `sidecar`: the sidecar's state ({} before it starts); None: the pod has no sidecar.

    `accepted` is the kubelet's startTime, `retention` the sidecar's setting, `other` the state of a second container.
    """
    injected: dict[str, str] = {
        "primehub.io/artifact-sidecar": "injected",
        "primehub.io/artifact-original-grace-seconds": "30",
    }
    metadata = {
        "name": "job",
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": "9",
        "labels": {"app": "primehub-job", "primehub.io/user": "escaped-ann"},
        "creationTimestamp": rfc3339(created),
        "annotations": dict(injected if sidecar is not None else {}) | dict(annotations or {}),
        "ownerReferences": [{"kind": "PhJob", "uid": owner, "name": "job"}],
        **({"deletionTimestamp": rfc3339(deleting)} if deleting is not None else {}),
    }
    spec: Document = {"containers": [{"name": "main"}], "terminationGracePeriodSeconds": 120}
    status: Document = {"phase": phase}
    if scheduled is not None:
        status["conditions"] = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(scheduled)},
        ]
    if accepted is not None:
        status["startTime"] = rfc3339(accepted)
    if main is not None:
        status["containerStatuses"] = [{"name": "main", "state": main}]
    if other is not None:
        status.setdefault("containerStatuses", []).append({"name": "other", "state": other})
    if sidecar is not None:
        env = [] if retention is None else [{"name": "PHJOB_ARTIFACT_RETENTION_SECONDS", "value": retention}]
        container = {"name": "phjob-artifacts", "image": "sidecar:1", "restartPolicy": "Always", "command": COMMAND}
        spec["initContainers"] = [container | {"env": env}]
        status["initContainerStatuses"] = [{"name": "phjob-artifacts", "state": sidecar}]
    return {"metadata": metadata, "spec": spec, "status": status}


def pod(**fields: Any) -> Pod:
    return read_pod(pod_document(**fields))


def running(since: float = NOW) -> Document:
    return {"running": {"startedAt": rfc3339(since)}}


def ended(
    code: int = 0, at: float = NOW + 10, since: float | None = NOW, message: str = "", reason: str = ""
) -> Document:
    started = {"startedAt": rfc3339(since)} if since is not None else {}
    reason = reason or ("Completed" if code == 0 else "Error")
    return {
        "terminated": {"exitCode": code, "reason": reason, "finishedAt": rfc3339(at), "message": message, **started}
    }


def lost() -> Document:
    """Return the state of a container that the kubelet removed before reading its end, as 1.34 does in evicted pods."""
    message = "The container could not be located when the pod was terminated"
    state = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": message}
    return {"terminated": state | {"startedAt": None, "finishedAt": None}}


def waiting(reason: str, message: str = "") -> Document:
    return {"waiting": {"reason": reason, "message": message}}


def summary(state: str = "sealed", **fields: Any) -> str:
    document = {"version": 1, "state": state, "sealed": state == "sealed", "files": 2, "bytes": 300, **fields}
    return json.dumps(document)

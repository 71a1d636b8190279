"""Builds the pod of a PhJob as PrimeHub does, and interprets the API server's refusal of it. Pure.

The same PhJob and settings always result in the same pod.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from artifacts.errors import ArtifactError
from controller.documents import text_field
from controller.inject.mounts import HOME, PHFS
from controller.inject.pod import GROUP_LABEL, MAIN, SIDECAR, USER_LABEL
from controller.reconcile.names import (
    API_VERSION,
    ENABLED_ANNOTATION,
    KIND,
    NO_SIDECAR_ANNOTATION,
    escape_label,
    group_sub_path,
)
from controller.reconcile.phjob import PhJob, PhJobSpec
from controller.reconcile.settings import ReconcilerSettings
from kube import errors

Document = dict[str, Any]

# Linux passes a program at most 128 KiB per argument, including the terminating null byte (MAX_ARG_STRLEN).
_MAX_COMMAND_BYTES = 128 * 1024 - 1
# The kubelet's log folder <namespace>_<name>_<uid> must have at most 255 characters; a UID has 36.
_MAX_LOG_FOLDER_CHARACTERS = 255 - len("__") - 36

# The first two: the quota is exceeded, or so new that its use has not been computed. The third: PrimeHub's admission.
_QUOTA_MESSAGES = ("exceeded quota:", "status unknown for quota:", "resources-validation-webhook")
_NOT_PERMITTED_MESSAGES = ('cannot create resource "pods"', "being terminated")


class InvalidJobSpec(Exception):
    """No pod can be built from this PhJob; the message explains the reason to its user."""


class Refusal(Enum):
    """Why the API server refused a pod."""

    QUOTA = "quota"  # too much now, but perhaps not later
    NOT_PERMITTED = "not-permitted"  # the controller lacks the right, or the namespace is being deleted
    INVALID_POD = "invalid-pod"  # such a pod is not allowed


def classify_refusal(error: errors.StatusError) -> Refusal:
    """Return why a pod was refused. The API server has no code for that, so the message decides."""
    if any(text in error.message for text in _QUOTA_MESSAGES):
        return Refusal.QUOTA
    if any(text in error.message for text in _NOT_PERMITTED_MESSAGES):
        return Refusal.NOT_PERMITTED
    return Refusal.INVALID_POD


def is_refused_for_sidecar(job: PhJob) -> bool:
    """Whether another controller could not create the job's pod because of its sidecar.

    The API server names the sidecar, its volume, or the field that only a native sidecar may have.
    """
    if (job.phase, text_field(job.status, "reason")) != ("Failed", "PodCreationFailed"):
        return False
    message = text_field(job.status, "message").replace(f'"{job.name}"', "")
    return SIDECAR in message or re.search(r"initContainers\[\d+\]\.(lifecycle|restartPolicy)", message) is not None


def build_pod(job: PhJob, spec: PhJobSpec, settings: ReconcilerSettings, no_sidecar_reason: str = "") -> Document:
    """Return the pod. With a `no_sidecar_reason` it opts out of the sidecar.

    Raises:
        InvalidJobSpec: the PhJob's spec is invalid.
    """
    try:
        sub_path = group_sub_path(job.group)
    except ArtifactError as error:
        raise InvalidJobSpec(f"spec.groupName: {error}") from error
    _check_name(job)
    _check_command(spec.command)
    image = spec.image or settings.default_image
    if not image:
        raise InvalidJobSpec("spec.image is empty and this installation has no default image: set spec.image")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(job, spec, no_sidecar_reason),
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,  # users' commands must not access the API server
            "enableServiceLinks": False,
            "containers": [_main(job, spec, settings, image, sub_path)],
            "volumes": _volumes(settings),
        },
    }


def _check_command(command: str) -> None:
    size = len(command.encode(errors="replace"))
    if size > _MAX_COMMAND_BYTES:
        raise InvalidJobSpec(
            f"spec.command has {size} bytes, but Linux accepts at most {_MAX_COMMAND_BYTES}: put the program in a file"
        )
    if "\0" in command:
        raise InvalidJobSpec("spec.command must not contain null characters")


def _check_name(job: PhJob) -> None:
    limit = _MAX_LOG_FOLDER_CHARACTERS - len(job.namespace)
    if len(job.name) > limit:
        raise InvalidJobSpec(
            f"metadata.name has {len(job.name)} characters, but no pod in the namespace {job.namespace} can start with "
            f"more than {limit}: create the job under a shorter name"
        )


def _metadata(job: PhJob, spec: PhJobSpec, no_sidecar_reason: str) -> Document:
    usage = {
        "component": "job",
        "instance_type": spec.instance_type,
        "group": job.group,
        "user": spec.user,
    }
    opt_out = {ENABLED_ANNOTATION: "false", NO_SIDECAR_ANNOTATION: no_sidecar_reason} if no_sidecar_reason else {}
    return {
        "name": job.name,
        "namespace": job.namespace,
        "labels": {
            "app": "primehub-job",
            GROUP_LABEL: escape_label(job.group),
            USER_LABEL: escape_label(spec.user),
        },
        "annotations": {**spec.annotations, "primehub.io/usage": json.dumps(usage), **opt_out},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": job.name,
                "uid": job.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _main(job: PhJob, spec: PhJobSpec, settings: ReconcilerSettings, image: str, sub_path: str) -> Document:
    amounts = {"cpu": settings.main_cpu, "memory": settings.main_memory}
    resources = {name: amount for name, amount in amounts.items() if amount}
    environ = _environ(job, spec, settings, image)
    return {
        "name": MAIN,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _escape_references(spec.command)],
        "workingDir": HOME,
        "env": [{"name": name, "value": _escape_references(value)} for name, value in environ.items()],
        "resources": {"requests": dict(resources), "limits": dict(resources)} if resources else {},
        "volumeMounts": [
            {"name": "workingdir", "mountPath": HOME},
            {"name": "phfs", "mountPath": PHFS, "subPath": sub_path},
            {"name": "dshm", "mountPath": "/dev/shm"},
        ],
    }


def _environ(job: PhJob, spec: PhJobSpec, settings: ReconcilerSettings, image: str) -> Mapping[str, str]:
    values = {
        "PHJOB_NAME": job.name,
        "PRIMEHUB_USER": spec.user,
        "PRIMEHUB_GROUP": job.group,
        "GROUP_ID": spec.group_id,
        "GROUP_NAME": job.group,
        "INSTANCE_TYPE": spec.instance_type,
        "IMAGE_NAME": image,
        "TZ": settings.timezone,
    }
    return {name: value for name, value in values.items() if value}


def _escape_references(value: str) -> str:
    """Escape $ as $$: the kubelet would expand $(NAME), but main must receive what the user wrote."""
    return value.replace("$", "$$")


def _volumes(settings: ReconcilerSettings) -> list[Document]:
    return [
        {"name": "workingdir", "emptyDir": {"sizeLimit": settings.working_size} if settings.working_size else {}},
        {"name": "phfs", "persistentVolumeClaim": {"claimName": settings.phfs_claim}},
        {"name": "dshm", "emptyDir": {"medium": "Memory"}},
    ]

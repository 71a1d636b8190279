"""The pod of a PhJob, as PrimeHub makes it. Pure: the same PhJob and settings always make the same pod."""

import json
from collections.abc import Mapping
from typing import Any

from artifacts.errors import ArtifactError
from controller.inject.mounts import HOME, PHFS
from controller.inject.pod import MAIN
from controller.reconcile.names import API_VERSION, ENABLED, GROUP_LABEL, KIND, USER_LABEL, WITHOUT, label, sub_path
from controller.reconcile.phjob import PhJob
from controller.reconcile.settings import Settings

Document = dict[str, Any]


class Unmakeable(Exception):
    """No pod can be made of this PhJob; says why, for its user."""


def make_pod(job: PhJob, settings: Settings, without: str = "") -> Document:
    """The pod; with no sidecar where `without` says why not. Raises Unmakeable."""
    try:
        group = sub_path(job.spec.group)
    except ArtifactError as error:
        raise Unmakeable(f"spec.groupName: {error}") from error
    image = job.spec.image or settings.default_image
    if not image:
        raise Unmakeable("spec.image is empty: name the image to run")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(job, without),
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,  # what users run has no business with the API server
            "enableServiceLinks": False,
            "containers": [_main(job, image, group, settings)],
            "volumes": _volumes(settings),
        },
    }


def _metadata(job: PhJob, without: str) -> Document:
    usage = {
        "component": "job",
        "instance_type": job.spec.instance_type,
        "group": job.spec.group,
        "user": job.spec.user,
    }
    opt_out = {ENABLED: "false", WITHOUT: without} if without else {}
    return {
        "name": job.name,
        "namespace": job.namespace,
        "labels": {
            "app": "primehub-job",
            GROUP_LABEL: label(job.spec.group),
            USER_LABEL: label(job.spec.user),
        },
        "annotations": {**(job.spec.annotations or {}), "primehub.io/usage": json.dumps(usage), **opt_out},
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


def _main(job: PhJob, image: str, group: str, settings: Settings) -> Document:
    amounts = {"cpu": settings.main_cpu, "memory": settings.main_memory}
    told = {name: amount for name, amount in amounts.items() if amount}
    return {
        "name": MAIN,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _literally(job.spec.command)],
        "workingDir": HOME,
        "env": [{"name": name, "value": _literally(value)} for name, value in _environ(job, image, settings).items()],
        "resources": {"requests": dict(told), "limits": dict(told)} if told else {},
        "volumeMounts": [
            {"name": "workingdir", "mountPath": HOME},
            {"name": "phfs", "mountPath": PHFS, "subPath": group},
            {"name": "dshm", "mountPath": "/dev/shm"},
        ],
    }


def _environ(job: PhJob, image: str, settings: Settings) -> Mapping[str, str]:
    told = {
        "PHJOB_NAME": job.name,
        "PRIMEHUB_USER": job.spec.user,
        "PRIMEHUB_GROUP": job.spec.group,
        "GROUP_ID": job.spec.group_id,
        "GROUP_NAME": job.spec.group,
        "INSTANCE_TYPE": job.spec.instance_type,
        "IMAGE_NAME": image,
        "TZ": settings.timezone,
    }
    return {name: value for name, value in told.items() if value}


def _literally(value: str) -> str:
    """Kubernetes puts variables in for $(NAME), and $ for $$; main is to see what the user wrote."""
    return value.replace("$", "$$")


def _volumes(settings: Settings) -> list[Document]:
    return [
        {"name": "workingdir", "emptyDir": {"sizeLimit": settings.working_size} if settings.working_size else {}},
        {"name": "phfs", "persistentVolumeClaim": {"claimName": settings.phfs_claim}},
        {"name": "dshm", "emptyDir": {"medium": "Memory"}},
    ]

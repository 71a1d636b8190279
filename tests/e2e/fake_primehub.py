"""Imitates PrimeHub: its objects on a cluster, and what its controller does with a PhJob.

PHFS is a folder of the node. An S3 server serves the same folder as the bucket behind PHFS.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controller.documents import format_time
from controller.reconcile.names import escape_label
from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.accounts import create_service_account, grant_role
from tests.e2e.installation import ROOT, kill_jobs
from tests.e2e.kubectl import kubectl
from tests.e2e.system import Document, System

NAMESPACE = "hub"
CLAIM = "primehub-store"
FOLDER = "/var/lib/phjob-artifacts/primehub-store"
SERVER = "hub-s3"
PORT = 7070
KEYS = {"ACCESS_KEY": "access", "SECRET_KEY": "not-a-secret"}
ADMINISTRATOR = "hub-admin"
ADMINISTRATION = [{"apiGroups": ["primehub.io"], "resources": ["phjobs/artifacts"], "verbs": ["delete"]}]
SCRIPTS = "hub-scripts"
SCRIPT_FOLDERS = {"run-job.sh": "/scripts", "primehub-monitoring-agent": "/monitoring-utils"}


@contextmanager
def fake_primehub(admin: Client, s3_image: str) -> Iterator[None]:
    """Create a namespace with PHFS, its bucket, and an administrator of artifacts; delete them at the end."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    documents = [namespace, persistent_volume(), volume_claim(), scripts(), s3_server(s3_image), s3_service()]
    documents += [
        definition("InstanceType", "cpu-1", {"limits.cpu": 1, "limits.memory": "2G"}),
        definition("Image", "base", {"url": "base:1"}),
        definition("Image", "foreign", {"url": "base:1", "groupName": "another-group"}),
    ]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    try:
        kubectl("-n", NAMESPACE, "wait", f"pod/{SERVER}", "--for=condition=Ready", "--timeout=60s", timeout_seconds=70)
        address = kubectl("-n", NAMESPACE, "get", "service", SERVER, "-o", "jsonpath={.spec.clusterIP}")
        create_s3_secret(f"http://{address}:{PORT}")
        create_service_account(admin, NAMESPACE, ADMINISTRATOR)
        grant_role(admin, NAMESPACE, ADMINISTRATOR, ADMINISTRATION)
        yield
    finally:
        kill_jobs(NAMESPACE)
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout_seconds=130)
        kubectl("delete", "persistentvolume", CLAIM)


def definition(kind: str, name: str, spec: Document) -> Document:
    """Return an InstanceType or Image."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "primehub.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def create_s3_secret(endpoint: str) -> None:
    """Create the Secret for components/s3-store. It has the server's address, because the cluster may have no DNS."""
    values = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    values |= {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_KEY"]}
    literals = [f"--from-literal={name}={value}" for name, value in values.items()]
    kubectl("-n", NAMESPACE, "create", "secret", "generic", "phjob-artifacts-s3", *literals)


def persistent_volume() -> Document:
    """Return the PersistentVolume of PHFS, a folder of the node."""
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": NAMESPACE, "name": CLAIM},
        "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": CLAIM}, "spec": spec}


def volume_claim() -> Document:
    """Return the PersistentVolumeClaim of PHFS."""
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": CLAIM,
        "resources": {"requests": {"storage": "10Gi"}},
    }
    metadata = {"name": CLAIM, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def scripts() -> Document:
    """Return the ConfigMap with PrimeHub's wrapper and its monitoring agent."""
    data = {name: (ROOT / "tests/primehub" / name).read_text() for name in SCRIPT_FOLDERS}
    metadata = {"name": SCRIPTS, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def s3_server(image: str) -> Document:
    """Return the pod of the S3 server. The bucket phfs is the folder phfs; files written directly have no ETag."""
    serve = f"chmod 0777 /data/phfs; exec versitygw --quiet --port :{PORT} posix --nometa --default-etag none /data"
    container = {
        "name": "s3",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
        "env": [{"name": f"ROOT_{name}", "value": value} for name, value in KEYS.items()],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "phfs", "mountPath": "/data/phfs"}],
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "phfs", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    metadata = {"name": SERVER, "namespace": NAMESPACE, "labels": {"run": SERVER}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def s3_service() -> Document:
    """Return the Service of the S3 server."""
    spec = {"selector": {"run": SERVER}, "ports": [{"port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER, "namespace": NAMESPACE}, "spec": spec}


def start_job(hub: System, name: str, command: str) -> Document:
    """Create a PhJob and, as PrimeHub's controller does, its pod and its status. Returns the PhJob."""
    hub.create_job(name, command)
    return create_pod(hub, name)


def create_pod(hub: System, name: str) -> Document:
    """Create the PhJob's pod, or fail the PhJob if the pod is refused. Returns the PhJob."""
    try:
        hub.create_pod(make_pod(hub, hub.job(name)))
    except errors.StatusError as error:
        finished_at = format_time(time.time())
        failure = {"phase": "Failed", "reason": "PodCreationFailed", "message": error.message}
        return set_status(hub, name, **failure, finishTime=finished_at)
    return set_status(hub, name, phase="Running", podName=name)


def set_status(hub: System, name: str, **status: Any) -> Document:
    """Write the PhJob's status, as PrimeHub's controller does."""
    with hub.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
        return phjobs.merge(name, {"status": status}, "status")


def make_pod(hub: System, job: Document) -> Document:
    """Return the pod that PrimeHub's controller creates for a PhJob."""
    name, spec = job["metadata"]["name"], job["spec"]
    pod = hub.pod(name, "/scripts/run-job.sh", f"sleep 1\n{spec['command']}")
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": name, "uid": job["metadata"]["uid"]}
    pod["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    pod["metadata"]["labels"] |= {
        f"primehub.io/{label}": escape_label(spec[f"{label}Name"]) for label in ("group", "user")
    }
    pod["spec"]["volumes"] += [
        {"name": "dshm", "emptyDir": {"medium": "Memory"}},
        {"name": "scripts", "configMap": {"name": SCRIPTS, "defaultMode": 0o755}},
    ]
    [main] = pod["spec"]["containers"]
    main["volumeMounts"] += [{"name": "dshm", "mountPath": "/dev/shm"}]
    main["volumeMounts"] += [{"name": "scripts", "mountPath": folder} for folder in SCRIPT_FOLDERS.values()]
    environ = {"PHJOB_ARTIFACT_ENABLED": "true", "PHJOB_ARTIFACT_LIMIT_FILES": "1000", "GROUP_NAME": spec["groupName"]}
    main["env"] += [{"name": variable, "value": value} for variable, value in environ.items()]
    return pod


def requeue(hub: System, name: str) -> None:
    """Delete the pod, which has not started, and create it again, as PrimeHub's controller does after 180 seconds."""
    with hub.objects("pods") as pods:
        pods.delete(name, grace_seconds=0)
    hub.wait(lambda: name not in hub.pods(), f"the end of pod {name}")
    create_pod(hub, name)


def cancel(hub: System, name: str) -> None:
    """Request the end of the job and kill its pod immediately, as PrimeHub and its controller do."""
    with hub.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
        phjobs.merge(name, {"spec": {"cancel": True}})
    with hub.objects("pods") as pods:
        pods.delete(name, grace_seconds=0)
    set_status(hub, name, phase="Cancelled")


def result_annotation(hub: System, name: str) -> Document:
    """Return the PhJob's annotation with the result of its artifacts, or {} if it has none yet."""
    annotations = hub.job(name)["metadata"].get("annotations") or {}
    result: Document = json.loads(annotations.get("primehub.io/artifact-result", "{}"))
    return result


def is_present(client: Client, resource: Resource, name: str) -> bool:
    """Whether the object exists and is not being deleted."""
    try:
        return "deletionTimestamp" not in ResourceClient(client, resource).get(name)["metadata"]
    except errors.NotFound:
        return False

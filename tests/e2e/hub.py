"""A PrimeHub, as far as the product sees one: what it has on a cluster, and what its controller does with a PhJob.

PHFS is a folder of the node, and an S3 server shows the same folder as the bucket that PHFS is a mount of.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.accounts import grant, make_account
from tests.e2e.installation import end_jobs
from tests.e2e.kubectl import kubectl
from tests.e2e.system import Document, System

NAMESPACE = "hub"
CLAIM = "hub-phfs"
FOLDER = "/var/lib/phjob-artifacts/hub-phfs"
SERVER = "hub-s3"
PORT = 7070
KEYS = {"ACCESS_KEY": "access", "SECRET_KEY": "not-a-secret"}
ADMINISTRATOR = "hub-admin"
ADMINISTRATION = [{"apiGroups": ["primehub.io"], "resources": ["phjobs/artifacts"], "verbs": ["delete"]}]
# What its wrapper around a job's command does at the end, if it was told to.
WRAPPER = 'test "$PHJOB_ARTIFACT_ENABLED" != true || cp -R artifacts /phfs/jobArtifacts/$PHJOB_NAME/by-wrapper'


@contextmanager
def given(admin: Client, s3_image: str) -> Iterator[None]:
    """There is a namespace with PHFS, its bucket, and an administrator of artifacts; all of it goes at the end."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    documents = [namespace, volume(), claim(), server(s3_image), server_service()]
    kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    try:
        kubectl("-n", NAMESPACE, "wait", f"pod/{SERVER}", "--for=condition=Ready", "--timeout=60s", seconds=70)
        address = kubectl("-n", NAMESPACE, "get", "service", SERVER, "-o", "jsonpath={.spec.clusterIP}")
        make_secret(f"http://{address}:{PORT}")
        make_account(admin, NAMESPACE, ADMINISTRATOR)
        grant(admin, NAMESPACE, ADMINISTRATOR, ADMINISTRATION)
        yield
    finally:
        end_jobs(NAMESPACE)
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", seconds=130)
        kubectl("delete", "persistentvolume", CLAIM)


def make_secret(endpoint: str) -> None:
    """The Secret that components/s3-store wants, with the address too: there may be no DNS here."""
    told = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    told |= {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_KEY"]}
    literals = [f"--from-literal={name}={value}" for name, value in told.items()]
    kubectl("-n", NAMESPACE, "create", "secret", "generic", "phjob-artifacts-s3", *literals)


def volume() -> Document:
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": NAMESPACE, "name": CLAIM},
        "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": CLAIM}, "spec": spec}


def claim() -> Document:
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": CLAIM,
        "resources": {"requests": {"storage": "10Gi"}},
    }
    metadata = {"name": CLAIM, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def server(image: str) -> Document:
    """The bucket phfs is the folder phfs; files that others put there have no ETag of their own."""
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


def server_service() -> Document:
    spec = {"selector": {"run": SERVER}, "ports": [{"port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER, "namespace": NAMESPACE}, "spec": spec}


def start(hub: System, name: str, command: str) -> Document:
    """Create a PhJob and, as PrimeHub's controller does, its pod and its status; gives the PhJob."""
    hub.create_job(name, command)
    job = hub.job(name)
    hub.create_pod(pod_of(hub, job))
    return tell(hub, name, phase="Running", podName=name)


def tell(hub: System, name: str, **status: Any) -> Document:
    """Write the PhJob's status, which is PrimeHub's."""
    with hub.objects("phjobs", "primehub.io", "v1alpha1") as phjobs:
        return phjobs.merge(name, {"status": status}, "status")


def pod_of(hub: System, job: Document) -> Document:
    """The pod, as PrimeHub's controller makes it."""
    name, spec = job["metadata"]["name"], job["spec"]
    pod = hub.pod(name, "sh", "-c", f"sleep 1\n{spec['command']}\n{WRAPPER}")
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": name, "uid": job["metadata"]["uid"]}
    pod["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    pod["metadata"]["labels"] |= {"primehub.io/group": spec["groupName"], "primehub.io/user": spec["userName"]}
    pod["spec"]["volumes"] += [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]
    [main] = pod["spec"]["containers"]
    main["volumeMounts"] += [{"name": "dshm", "mountPath": "/dev/shm"}]
    told = {"PHJOB_ARTIFACT_ENABLED": "true", "PHJOB_ARTIFACT_LIMIT_FILES": "1000", "GROUP_NAME": spec["groupName"]}
    main["env"] += [{"name": variable, "value": value} for variable, value in told.items()]
    return pod


def cancel(hub: System, name: str) -> None:
    """As PrimeHub's controller does: the pod is killed at once."""
    with hub.objects("pods") as pods:
        pods.delete(name, grace_seconds=0)
    tell(hub, name, phase="Cancelled")


def note(hub: System, name: str) -> Document:
    """What the product has noted on the PhJob of its artifacts; empty where nothing yet."""
    annotations = hub.job(name)["metadata"].get("annotations") or {}
    noted: Document = json.loads(annotations.get("primehub.io/artifact-result", "{}"))
    return noted


def is_there(client: Client, resource: Resource, name: str) -> bool:
    try:
        return "deletionTimestamp" not in ResourceClient(client, resource).get(name)["metadata"]
    except errors.NotFound:
        return False

"""The API's PhJobs and authentication on a real cluster, with only the documented rights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client import Configuration

from api.auth.kubernetes import KubernetesAuthenticator
from api.errors import BadInput, NotAuthenticated, NotFoundError, ServiceUnavailable
from api.jobs.job import Draft
from api.jobs.kubernetes import PHJOBS, KubernetesJobs
from artifacts.annotation import EXPIRY_ANNOTATION
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.accounts import (
    RBAC,
    bind_cluster_role,
    client_with_token,
    create_service_account,
    create_token,
    grant_role,
)
from tests.e2e.conftest import IMAGE, wait_until

AUDIENCE = "phjob-artifacts"
GROUPS = "system:serviceaccounts:"  # a service account's groups are its namespace, with this prefix
DRAFT = Draft("My job", "Group_A", "echo 1", "u1", "user")
RIGHTS = [
    {"apiGroups": ["primehub.io"], "resources": ["phjobs"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
]
ADMINISTRATION = [{"apiGroups": ["primehub.io"], "resources": ["phjobs/artifacts"], "verbs": ["delete"]}]


def phjobs_in(client: Client, namespace: str) -> ResourceClient:
    """Return a client for the namespace's PhJobs."""
    return ResourceClient(client, Resource(PHJOBS.group, PHJOBS.version, PHJOBS.plural, namespace))


def pods_in(client: Client, namespace: str) -> ResourceClient:
    """Return a client for the namespace's pods."""
    return ResourceClient(client, Resource("", "v1", "pods", namespace))


@contextmanager
def watching(client: Client, namespace: str, *, ready: bool = True) -> Iterator[KubernetesJobs]:
    """Run a source of PhJobs; by default wait for its first list."""
    jobs = KubernetesJobs(client, namespace)
    jobs.start()
    try:
        if ready:
            wait_until(lambda: not check_error(jobs), "the first list")
        yield jobs
    finally:
        jobs.stop()


def check_error(jobs: KubernetesJobs) -> str:
    """Return the error of `check`, or ""."""
    try:
        jobs.check()
    except ServiceUnavailable as error:
        return str(error)
    return ""


@pytest.fixture
def api_account(admin: Client, access: Configuration, namespace: str, phjobs: None) -> Iterator[Client]:
    """A client with exactly the API's documented rights in its namespace."""
    create_service_account(admin, namespace, "api")
    grant_role(admin, namespace, "api", RIGHTS)
    client = client_with_token(access, create_token(admin, namespace, "api"))
    yield client
    client.close()


@pytest.fixture
def jobs(api_account: Client, namespace: str) -> Iterator[KubernetesJobs]:
    """A synchronized source of PhJobs with the API's documented rights."""
    with watching(api_account, namespace) as jobs:
        yield jobs


@pytest.fixture
def authenticator(admin: Client, access: Configuration, namespace: str) -> Iterator[KubernetesAuthenticator]:
    """An authenticator with exactly the rights of system:auth-delegator."""
    create_service_account(admin, namespace, "api")
    binding = bind_cluster_role(admin, namespace, "api", "system:auth-delegator")
    client = client_with_token(access, create_token(admin, namespace, "api"))
    yield KubernetesAuthenticator(client, namespace, (AUDIENCE,), GROUPS, clock=iter(range(0, 10**9, 1000)).__next__)
    client.close()
    ResourceClient(admin, Resource(*RBAC, "clusterrolebindings")).delete(binding)


def test_documented_rights_suffice_to_create_cancel_and_annotate_a_job(
    jobs: KubernetesJobs, admin: Client, namespace: str
) -> None:
    job = jobs.create(DRAFT)
    assert jobs.get(job.id) == job
    jobs.cancel(job)
    jobs.annotate_expiry(job, 1790000000)
    document = phjobs_in(admin, namespace).get(job.id)
    assert document["spec"]["cancel"] is True
    assert document["metadata"]["annotations"][EXPIRY_ANNOTATION] == "1790000000"
    phjobs_in(admin, namespace).merge(job.id, {"status": {"phase": "Succeeded"}}, "status")
    wait_until(lambda: (found := jobs.get(job.id)) and found.has_ended, "the status, by the watch")
    phjobs_in(admin, namespace).delete(job.id)
    wait_until(lambda: not jobs.all(), "the deletion, by the watch")


def test_new_job_with_the_same_name_is_not_changed(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    job = jobs.create(DRAFT)
    phjobs_in(admin, namespace).delete(job.id)
    spec = {"groupName": "a", "command": "true"}
    same_name = {"apiVersion": "primehub.io/v1alpha1", "kind": "PhJob", "metadata": {"name": job.id}, "spec": spec}
    created = phjobs_in(admin, namespace).create(same_name)
    with pytest.raises(NotFoundError):
        jobs.cancel(job)
    jobs.annotate_expiry(job, 5)
    found = phjobs_in(admin, namespace).get(job.id)
    assert (found["spec"], found["metadata"].get("annotations")) == (created["spec"], None)


def test_admission_error_is_reported_to_the_user(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    quota = ResourceClient(admin, Resource("", "v1", "resourcequotas", namespace))
    quota.create({"metadata": {"name": "q"}, "spec": {"hard": {"count/phjobs.primehub.io": "0"}}})
    wait_until(lambda: quota.get("q").get("status", {}).get("hard"), "the quota is in force")
    with pytest.raises(BadInput, match="quota: q"):  # exceeded, or not counted yet
        jobs.create(DRAFT)


def test_missing_rights_are_reported(admin: Client, access: Configuration, namespace: str, phjobs: None) -> None:
    create_service_account(admin, namespace, "poor")
    client = client_with_token(access, create_token(admin, namespace, "poor"))
    with watching(client, namespace, ready=False) as jobs:
        wait_until(lambda: "permission to list phjobs.primehub.io" in check_error(jobs), "the error")
        with pytest.raises(ServiceUnavailable, match="permission to create"):
            jobs.create(DRAFT)
    client.close()


def test_sidecar_that_collects_after_main_is_detected(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    job, pods = jobs.create(DRAFT), pods_in(admin, namespace)
    pods.create(_pod(job.id))
    phjobs_in(admin, namespace).merge(job.id, {"status": {"phase": "Succeeded"}}, "status")
    wait_until(lambda: (found := jobs.get(job.id)) and found.has_ended, "the PhJob ended")
    wait_until(lambda: "terminated" in _state(pods.get(job.id), "containerStatuses"), "main ended")
    assert "running" in _state(pods.get(job.id), "initContainerStatuses")
    assert jobs.is_collecting(job)
    wait_until(lambda: not jobs.is_collecting(job), "the sidecar ended")
    assert "terminated" in _state(pods.get(job.id), "initContainerStatuses")
    pods.delete(job.id, grace_seconds=0)
    assert not jobs.is_collecting(job)


def _pod(name: str) -> dict[str, Any]:
    """Return a pod whose main ends immediately, and whose sidecar ends five seconds after SIGTERM."""
    sleeper = "trap 'sleep 5; exit 0' TERM; sleep 1000 & wait"
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "main", "image": IMAGE, "command": ["true"]}],
            "initContainers": [
                {"name": "side", "image": IMAGE, "command": ["sh", "-c", sleeper], "restartPolicy": "Always"}
            ],
        },
    }


def _state(pod: dict[str, Any], statuses: str) -> dict[str, Any]:
    found = pod.get("status", {}).get(statuses) or [{"state": {}}]
    state: dict[str, Any] = found[0]["state"]
    return state


def test_service_account_token_gives_the_group(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    caller = authenticator.authenticate(create_token(admin, namespace, "default", [AUDIENCE, "another"]))
    assert caller.username == f"system:serviceaccount:{namespace}:default"
    assert (list(caller.groups), caller.is_admin) == ([namespace], False)


@pytest.mark.parametrize("audiences", [[], ["another"], ["phjob-artifacts-2"]])
def test_token_for_another_audience_is_rejected(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str, audiences: list[str]
) -> None:
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(create_token(admin, namespace, "default", audiences))


def test_forged_token_and_token_of_a_deleted_account_are_rejected(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    create_service_account(admin, namespace, "leaver")
    token = create_token(admin, namespace, "leaver", [AUDIENCE])
    authenticator.authenticate(token)
    header, claims, signature = token.split(".")
    for bad in (f"{header}.{claims}.{signature[::-1]}", f"{header}.{claims}.", "x.y.z", "x"):
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(bad)
    ResourceClient(admin, Resource("", "v1", "serviceaccounts", namespace)).delete("leaver")
    wait_until(lambda: _is_refused(authenticator, token), "the account is gone")


def _is_refused(authenticator: KubernetesAuthenticator, token: str) -> bool:
    try:
        authenticator.authenticate(token)
    except NotAuthenticated:
        return True
    return False


def test_right_to_delete_artifacts_makes_an_administrator(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    token = create_token(admin, namespace, "default", [AUDIENCE])
    grant_role(admin, namespace, "default", [{**RIGHTS[0], "verbs": ["*"]}])
    assert not authenticator.authenticate(token).is_admin
    binding = grant_role(admin, namespace, "default", ADMINISTRATION)
    wait_until(lambda: authenticator.authenticate(token).is_admin, "an administrator")
    ResourceClient(admin, Resource(*RBAC, "rolebindings", namespace)).delete(binding)
    wait_until(lambda: not authenticator.authenticate(token).is_admin, "an administrator no more")


def test_tokens_are_rejected_without_the_right_to_review_them(
    admin: Client, access: Configuration, namespace: str
) -> None:
    create_service_account(admin, namespace, "poor")
    client = client_with_token(access, create_token(admin, namespace, "poor"))
    with pytest.raises(ServiceUnavailable):
        KubernetesAuthenticator(client, namespace, (AUDIENCE,), GROUPS).authenticate(
            create_token(admin, namespace, "default", [AUDIENCE])
        )
    client.close()

"""PhJobs and callers on a real cluster, each with no more rights than the documentation asks for."""

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
from tests.e2e.accounts import RBAC, client_of, grant, grant_cluster_role, make_account, token_of
from tests.e2e.conftest import IMAGE, until

AUDIENCE = "phjob-artifacts"
GROUPS = "system:serviceaccounts:"  # a service account's groups are its namespace, with this prefix
DRAFT = Draft("My job", "Group_A", "echo 1", "u1", "user")
RIGHTS = [
    {"apiGroups": ["primehub.io"], "resources": ["phjobs"], "verbs": ["list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
]
ADMINISTRATION = [{"apiGroups": ["primehub.io"], "resources": ["phjobs/artifacts"], "verbs": ["delete"]}]


def phjobs_in(client: Client, namespace: str) -> ResourceClient:
    return ResourceClient(client, Resource(PHJOBS.group, PHJOBS.version, PHJOBS.plural, namespace))


def pods_in(client: Client, namespace: str) -> ResourceClient:
    return ResourceClient(client, Resource("", "v1", "pods", namespace))


@contextmanager
def watching(client: Client, namespace: str, *, ready: bool = True) -> Iterator[KubernetesJobs]:
    jobs = KubernetesJobs(client, namespace)
    jobs.start()
    try:
        if ready:
            until(lambda: not refusal(jobs), "the first list")
        yield jobs
    finally:
        jobs.stop()


def refusal(jobs: KubernetesJobs) -> str:
    try:
        jobs.check()
    except ServiceUnavailable as error:
        return str(error)
    return ""


@pytest.fixture
def service(admin: Client, access: Configuration, namespace: str, phjobs: None) -> Iterator[Client]:
    """A client with the API's rights in its namespace, and no other."""
    make_account(admin, namespace, "api")
    grant(admin, namespace, "api", RIGHTS)
    client = client_of(access, token_of(admin, namespace, "api"))
    yield client
    client.close()


@pytest.fixture
def jobs(service: Client, namespace: str) -> Iterator[KubernetesJobs]:
    with watching(service, namespace) as found:
        yield found


@pytest.fixture
def authenticator(admin: Client, access: Configuration, namespace: str) -> Iterator[KubernetesAuthenticator]:
    """With the rights of system:auth-delegator, and no other."""
    make_account(admin, namespace, "api")
    binding = grant_cluster_role(admin, namespace, "api", "system:auth-delegator")
    client = client_of(access, token_of(admin, namespace, "api"))
    yield KubernetesAuthenticator(client, namespace, (AUDIENCE,), GROUPS, clock=iter(range(0, 10**9, 1000)).__next__)
    client.close()
    ResourceClient(admin, Resource(*RBAC, "clusterrolebindings")).delete(binding)


def test_a_job_is_created_cancelled_and_noted_on_with_the_documented_rights(
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
    until(lambda: (found := jobs.get(job.id)) and found.has_ended, "the status, by the watch")
    phjobs_in(admin, namespace).delete(job.id)
    until(lambda: not jobs.all(), "the deletion, by the watch")


def test_another_job_of_the_same_name_is_left_alone(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    job = jobs.create(DRAFT)
    phjobs_in(admin, namespace).delete(job.id)
    spec = {"groupName": "a", "command": "true"}
    again = {"apiVersion": "primehub.io/v1alpha1", "kind": "PhJob", "metadata": {"name": job.id}, "spec": spec}
    made = phjobs_in(admin, namespace).create(again)
    with pytest.raises(NotFoundError):
        jobs.cancel(job)
    jobs.annotate_expiry(job, 5)
    found = phjobs_in(admin, namespace).get(job.id)
    assert (found["spec"], found["metadata"].get("annotations")) == (made["spec"], None)


def test_what_admission_denies_is_told_to_the_user(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    quota = ResourceClient(admin, Resource("", "v1", "resourcequotas", namespace))
    quota.create({"metadata": {"name": "q"}, "spec": {"hard": {"count/phjobs.primehub.io": "0"}}})
    until(lambda: quota.get("q").get("status", {}).get("hard"), "the quota is in force")
    with pytest.raises(BadInput, match="quota: q"):  # exceeded, or not counted yet
        jobs.create(DRAFT)


def test_rights_that_are_missing_are_told_as_such(
    admin: Client, access: Configuration, namespace: str, phjobs: None
) -> None:
    make_account(admin, namespace, "poor")
    client = client_of(access, token_of(admin, namespace, "poor"))
    with watching(client, namespace, ready=False) as jobs:
        until(lambda: "may not list phjobs.primehub.io" in refusal(jobs), "the refusal")
        with pytest.raises(ServiceUnavailable, match="may not create"):
            jobs.create(DRAFT)
    client.close()


def test_a_sidecar_that_still_collects_after_main_is_seen(jobs: KubernetesJobs, admin: Client, namespace: str) -> None:
    job, pods = jobs.create(DRAFT), pods_in(admin, namespace)
    pods.create(_pod(job.id))
    phjobs_in(admin, namespace).merge(job.id, {"status": {"phase": "Succeeded"}}, "status")
    until(lambda: (found := jobs.get(job.id)) and found.has_ended, "the PhJob ended")
    until(lambda: "terminated" in _state(pods.get(job.id), "containerStatuses"), "main ended")
    assert "running" in _state(pods.get(job.id), "initContainerStatuses")
    assert jobs.is_collecting(job)
    until(lambda: not jobs.is_collecting(job), "the sidecar ended")
    assert "terminated" in _state(pods.get(job.id), "initContainerStatuses")
    pods.delete(job.id, grace_seconds=0)
    assert not jobs.is_collecting(job)


def _pod(name: str) -> dict[str, Any]:
    """Main ends at once, the sidecar five seconds after it was told to."""
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


def test_a_service_accounts_token_for_us_tells_its_group(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    caller = authenticator.authenticate(token_of(admin, namespace, "default", [AUDIENCE, "another"]))
    assert caller.username == f"system:serviceaccount:{namespace}:default"
    assert (list(caller.groups), caller.is_admin) == ([namespace], False)


@pytest.mark.parametrize("audiences", [[], ["another"], ["phjob-artifacts-2"]])
def test_a_token_for_the_api_server_or_another_service_is_refused(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str, audiences: list[str]
) -> None:
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token_of(admin, namespace, "default", audiences))


def test_a_token_that_was_tampered_with_or_whose_account_is_gone_is_refused(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    make_account(admin, namespace, "leaver")
    token = token_of(admin, namespace, "leaver", [AUDIENCE])
    authenticator.authenticate(token)
    header, claims, signature = token.split(".")
    for bad in (f"{header}.{claims}.{signature[::-1]}", f"{header}.{claims}.", "x.y.z", "x"):
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(bad)
    ResourceClient(admin, Resource("", "v1", "serviceaccounts", namespace)).delete("leaver")
    until(lambda: _is_refused(authenticator, token), "the account is gone")


def _is_refused(authenticator: KubernetesAuthenticator, token: str) -> bool:
    try:
        authenticator.authenticate(token)
    except NotAuthenticated:
        return True
    return False


def test_who_may_delete_artifacts_is_administrator_for_as_long(
    authenticator: KubernetesAuthenticator, admin: Client, namespace: str
) -> None:
    token = token_of(admin, namespace, "default", [AUDIENCE])
    grant(admin, namespace, "default", [{**RIGHTS[0], "verbs": ["*"]}])
    assert not authenticator.authenticate(token).is_admin
    binding = grant(admin, namespace, "default", ADMINISTRATION)
    until(lambda: authenticator.authenticate(token).is_admin, "an administrator")
    ResourceClient(admin, Resource(*RBAC, "rolebindings", namespace)).delete(binding)
    until(lambda: not authenticator.authenticate(token).is_admin, "an administrator no more")


def test_a_service_that_may_not_ask_lets_nobody_in(admin: Client, access: Configuration, namespace: str) -> None:
    make_account(admin, namespace, "poor")
    client = client_of(access, token_of(admin, namespace, "poor"))
    with pytest.raises(ServiceUnavailable):
        KubernetesAuthenticator(client, namespace, (AUDIENCE,), GROUPS).authenticate(
            token_of(admin, namespace, "default", [AUDIENCE])
        )
    client.close()

"""The leader's tasks: the published CA bundle always trusts every certificate that a pod may serve."""

import logging
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.certificates import AUTHORITY_LIFE, OVERLAP, renew, service_names
from controller.reconcile.run import Controller
from controller.tasks.certificate import WebhookCertificateTask
from controller.tasks.link_key import LinkKeyTask
from controller.tasks.periodic import PeriodicTasks
from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.controller.objects import SETTINGS
from tests.controller.test_certificates import trusts
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.faults import Request
from tests.kube.informers import until

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOOKS = Resource("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
SECRETS = Resource("", "v1", "secrets", "hub")
HOOK, SECRET = HOOKS.path("phjob-artifacts"), SECRETS.path("tls")

Document = dict[str, Any]


class Clock:
    """The API server's clock. It is set by hand, and unknown if it is None."""

    def __init__(self) -> None:
        self.now: datetime | None = START

    def __call__(self) -> datetime | None:
        return self.now

    def advance(self, time: timedelta) -> None:
        assert self.now is not None
        self.now += time


class CertificateCluster:
    """An API server with the manifests' empty Secret and configuration, and the task that maintains them."""

    def __init__(self, server: ApiServer, client: Client, namespace: str = "hub") -> None:
        self.server, self.clock = server, Clock()
        secrets = Resource("", "v1", "secrets", namespace)
        service = {"name": "phjob-artifacts-webhook", "namespace": "hub", "path": "/inject"}
        webhooks = [{"name": f"{name}.primehub.io", "clientConfig": {"service": service}} for name in ("a", "b")]
        server.put(HOOK, {"kind": "MutatingWebhookConfiguration", "webhooks": webhooks})
        server.put(secrets.path("tls"), {"kind": "Secret", "type": "Opaque"})
        self.secret = secrets.path("tls")
        self.task = WebhookCertificateTask(
            ResourceClient(client, secrets), ResourceClient(client, HOOKS), "tls", "phjob-artifacts", self.clock
        )

    @property
    def published_bundle(self) -> bytes:
        webhooks = self.server.objects.get(parse_path(HOOK))["webhooks"]
        bundles = {webhook["clientConfig"].get("caBundle", "") for webhook in webhooks}
        assert len(bundles) == 1
        return b64decode(bundles.pop())

    @property
    def data(self) -> dict[str, bytes]:
        data = self.server.objects.get(parse_path(self.secret)).get("data") or {}
        return {name: b64decode(value) for name, value in data.items()}

    def put(self, data: Mapping[str, bytes]) -> None:
        encoded = {name: b64encode(value).decode() for name, value in data.items()}
        self.server.put(self.secret, {"kind": "Secret", "type": "Opaque", "data": encoded})

    def trusts(self, served: bytes) -> bool:
        assert self.clock.now is not None
        return trusts(self.published_bundle, served, self.clock.now)


@pytest.fixture
def cluster(server: ApiServer, client: Client) -> CertificateCluster:
    return CertificateCluster(server, client)


def writes(server: ApiServer) -> list[str]:
    return [parse_path(request.path).plural for request in server.requests if request.method != "GET"]


def changes(plural: str) -> Callable[[Request], bool]:
    return lambda request: request.method != "GET" and parse_path(request.path).plural == plural


def test_an_empty_secret_is_filled_after_the_bundle_is_published(cluster: CertificateCluster) -> None:
    cluster.task.reconcile()
    assert set(cluster.data) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert cluster.trusts(cluster.data["tls.crt"])
    assert writes(cluster.server) == ["mutatingwebhookconfigurations", "secrets"]


def test_the_certificate_of_a_leader_whose_clock_was_ahead_is_replaced(cluster: CertificateCluster) -> None:
    cluster.put(renew({}, service_names("phjob-artifacts-webhook", "hub"), START + timedelta(days=9)))
    cluster.task.reconcile()
    assert cluster.trusts(cluster.data["tls.crt"])


def test_without_the_api_servers_time_a_certificate_from_the_future_is_kept(cluster: CertificateCluster) -> None:
    data = renew({}, service_names("phjob-artifacts-webhook", "hub"), datetime.now(UTC) + timedelta(days=9))
    cluster.put(data)
    cluster.clock.now = None
    cluster.task.reconcile()
    assert cluster.data == data


def test_nothing_is_written_if_nothing_is_due(cluster: CertificateCluster) -> None:
    cluster.task.reconcile()
    before = cluster.server.objects.version
    cluster.clock.advance(timedelta(days=1))
    cluster.task.reconcile()
    assert cluster.server.objects.version == before


def test_other_fields_of_the_secret_and_the_configuration_are_preserved(cluster: CertificateCluster) -> None:
    cluster.server.put(SECRET, {"kind": "Secret", "metadata": {"labels": {"a": "b"}}, "type": "Opaque"})
    cluster.task.reconcile()
    assert cluster.server.objects.get(parse_path(SECRET))["metadata"]["labels"] == {"a": "b"}
    webhook = cluster.server.objects.get(parse_path(HOOK))["webhooks"][1]
    assert webhook["name"] == "b.primehub.io"
    assert webhook["clientConfig"]["service"]["path"] == "/inject"


def test_a_changed_service_name_gets_a_new_certificate(cluster: CertificateCluster) -> None:
    cluster.task.reconcile()
    configuration = cluster.server.objects.get(parse_path(HOOK))
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["service"]["name"] = "other"
    cluster.server.put(HOOK, configuration)
    before = cluster.data
    cluster.task.reconcile()
    assert cluster.data["tls.crt"] != before["tls.crt"]
    assert service_names("other", "hub")[0].encode() in b64decode(cluster.data["tls.crt"].split(b"-----")[2])


@pytest.mark.parametrize("lost", [{}, {"ca.crt": b"x", "ca.key": b"x", "tls.crt": b"x", "tls.key": b"x"}])
def test_the_served_certificate_stays_trusted_if_the_secret_is_lost(
    cluster: CertificateCluster, lost: dict[str, bytes]
) -> None:
    cluster.task.reconcile()
    served = cluster.data["tls.crt"]
    cluster.put(lost)
    cluster.clock.advance(timedelta(seconds=7))
    cluster.task.reconcile()
    assert cluster.data["tls.crt"] != served
    assert cluster.trusts(served)
    assert cluster.trusts(cluster.data["tls.crt"])
    cluster.clock.advance(OVERLAP)
    cluster.task.reconcile()
    assert not cluster.trusts(served)
    assert cluster.trusts(cluster.data["tls.crt"])


def test_the_bundle_is_published_again_if_the_configuration_is_reapplied(cluster: CertificateCluster) -> None:
    cluster.task.reconcile()
    configuration = cluster.server.objects.get(parse_path(HOOK))
    for webhook, bundle in zip(configuration["webhooks"], ("", "bm8gY2VydGlmaWNhdGU="), strict=True):
        webhook["clientConfig"]["caBundle"] = bundle
    cluster.server.put(HOOK, configuration)
    data = cluster.data
    cluster.task.reconcile()
    assert cluster.data == data
    assert cluster.trusts(data["tls.crt"])


def test_nothing_is_stored_if_publishing_fails(cluster: CertificateCluster) -> None:
    cluster.server.script.add("status", changes("mutatingwebhookconfigurations"))
    with pytest.raises(errors.ServerFault):
        cluster.task.reconcile()
    assert cluster.data == {}
    cluster.task.reconcile()
    assert cluster.trusts(cluster.data["tls.crt"])


@pytest.mark.parametrize("path", [HOOK, SECRET])
def test_concurrent_writes_are_not_overwritten(cluster: CertificateCluster, path: str) -> None:
    theirs = {**cluster.server.objects.get(parse_path(path)), "theirs": True}
    is_ours = changes(parse_path(path).plural)
    cluster.server.script.add("status", lambda request: is_ours(request) and not cluster.server.put(path, theirs))
    with pytest.raises((errors.Conflict, errors.Invalid)):
        cluster.task.reconcile()
    cluster.server.script.clear()
    cluster.task.reconcile()
    assert cluster.trusts(cluster.data["tls.crt"])
    assert cluster.server.objects.get(parse_path(path))["theirs"]


INTERVALS = st.sampled_from([timedelta(seconds=30), timedelta(hours=13), timedelta(days=9), timedelta(days=20)])
EVENTS = st.sampled_from(["", "", "secret lost", "configuration refuses", "secret refuses", "authority due"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(INTERVALS, EVENTS), max_size=8))
def test_the_served_certificate_is_always_trusted(
    server: ApiServer, client: Client, course: list[tuple[timedelta, str]]
) -> None:
    server.script.clear()
    cluster = CertificateCluster(server, client)
    cluster.task.reconcile()
    served = cluster.data["tls.crt"]
    for interval, event in course:
        server.script.clear()
        cluster.clock.advance(interval)
        if event == "authority due":
            cluster.clock.advance(AUTHORITY_LIFE * 2 / 3)
            cluster.task.reconcile()
            served = cluster.data["tls.crt"]
        if event == "secret lost":
            cluster.put({})
        if event.endswith("refuses"):
            plural = "secrets" if event.startswith("secret") else "mutatingwebhookconfigurations"
            server.script.add("status", changes(plural))
        with suppress(errors.ServerFault):
            cluster.task.reconcile()
        assert cluster.trusts(served)  # the pods do not have the new Secret yet
        served = cluster.data.get("tls.crt", served)
        assert cluster.trusts(served)


def test_a_link_key_is_created_once(server: ApiServer, client: Client) -> None:
    server.put(SECRETS.path("links"), {"kind": "Secret", "data": {"other": "eA=="}})
    task = LinkKeyTask(ResourceClient(client, SECRETS), "links")
    task.reconcile()
    first = server.objects.get(parse_path(SECRETS.path("links")))["data"]
    assert len(b64decode(first["link-key"])) >= 32
    assert first["other"] == "eA=="
    task.reconcile()
    assert server.objects.get(parse_path(SECRETS.path("links")))["data"] == first


class FailingTask:
    """Raises the given errors, then succeeds."""

    name = "failing task"

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.runs = list(faults), 0

    def reconcile(self) -> None:
        self.runs += 1
        if self.faults:
            raise self.faults.pop(0)


def test_only_the_leader_runs_tasks_and_failed_tasks_are_retried(caplog: pytest.LogCaptureFixture) -> None:
    is_leader = threading.Event()
    task, other = FailingTask(errors.Unreachable("no response"), KeyError("webhooks")), FailingTask()
    tasks = PeriodicTasks([task, other], is_leader.is_set, seconds=3600)
    tasks.start()
    try:
        tasks.wake()
        assert (task.runs, other.runs) == (0, 0)
        is_leader.set()
        tasks.wake()
        until(lambda: task.runs == 3, "two retries")
    finally:
        tasks.stop()
    assert other.runs == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


def test_a_watching_controller_runs_both_tasks_without_the_phjob_definition(server: ApiServer, client: Client) -> None:
    cluster = CertificateCluster(server, client, "ns")
    links = Resource("", "v1", "secrets", "ns").path("links")
    server.put(links, {"kind": "Secret"})
    server.missing.add("phjobs")
    settings = replace(SETTINGS, reconcile=False, certificate_secret="tls", link_key_secret="links")
    controller = Controller(client, settings, "me")
    controller.start()
    try:
        until(lambda: "tls.crt" in cluster.data, "the certificate")
        until(lambda: server.objects.get(parse_path(links)).get("data"), "the link key")
    finally:
        controller.stop()


def test_tasks_without_settings_do_not_run(server: ApiServer, client: Client) -> None:
    cluster = CertificateCluster(server, client, "ns")
    controller = Controller(client, SETTINGS, "me")
    controller.start()
    try:
        until(
            lambda: any("leases" in request.path for request in server.requests if request.method == "POST"),
            "the lease",
        )
    finally:
        controller.stop()
    assert cluster.data == {}
    assert not [request for request in server.requests if "webhookconfigurations" in request.path]

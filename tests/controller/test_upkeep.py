"""The leader's upkeep: at every moment, whoever trusts what was told trusts what is, or still is, served."""

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

from controller.certificates import AUTHORITY_LIFE, OVERLAP, service_names
from controller.reconcile.run import Controller
from controller.upkeep.certificate import WebhookCertificate
from controller.upkeep.link_key import LinkKey
from controller.upkeep.upkeep import Upkeep
from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.controller.cluster import SETTINGS
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
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class World:
    """An API server with the manifests' empty Secret and configuration, and what pods still serve."""

    def __init__(self, server: ApiServer, client: Client, namespace: str = "hub") -> None:
        self.server, self.clock = server, Clock()
        secrets = Resource("", "v1", "secrets", namespace)
        service = {"name": "phjob-artifacts-webhook", "namespace": "hub", "path": "/inject"}
        webhooks = [{"name": f"{name}.primehub.io", "clientConfig": {"service": service}} for name in ("a", "b")]
        server.put(HOOK, {"kind": "MutatingWebhookConfiguration", "webhooks": webhooks})
        server.put(secrets.path("tls"), {"kind": "Secret", "type": "Opaque"})
        self.secret = secrets.path("tls")
        self.keeper = WebhookCertificate(
            ResourceClient(client, secrets), ResourceClient(client, HOOKS), "tls", "phjob-artifacts", self.clock
        )

    @property
    def told(self) -> bytes:
        webhooks = self.server.objects.get(parse_path(HOOK))["webhooks"]
        bundles = {each["clientConfig"].get("caBundle", "") for each in webhooks}
        assert len(bundles) == 1
        return b64decode(bundles.pop())

    @property
    def data(self) -> dict[str, bytes]:
        data = self.server.objects.get(parse_path(self.secret)).get("data") or {}
        return {name: b64decode(value) for name, value in data.items()}

    def put(self, data: Mapping[str, bytes]) -> None:
        coded = {name: b64encode(value).decode() for name, value in data.items()}
        self.server.put(self.secret, {"kind": "Secret", "type": "Opaque", "data": coded})

    def trusts(self, served: bytes) -> bool:
        return trusts(self.told, served, self.clock.now)


@pytest.fixture
def world(server: ApiServer, client: Client) -> World:
    return World(server, client)


def writes(server: ApiServer) -> list[str]:
    return [parse_path(request.path).plural for request in server.requests if request.method != "GET"]


def changes(plural: str) -> Callable[[Request], bool]:
    return lambda request: request.method != "GET" and parse_path(request.path).plural == plural


def test_an_empty_secret_is_filled_and_the_api_server_told_first(world: World) -> None:
    world.keeper.look()
    assert set(world.data) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert world.trusts(world.data["tls.crt"])
    assert writes(world.server) == ["mutatingwebhookconfigurations", "secrets"]


def test_nothing_is_written_where_nothing_is_due(world: World) -> None:
    world.keeper.look()
    before = world.server.objects.version
    world.clock.now += timedelta(days=1)
    world.keeper.look()
    assert world.server.objects.version == before


def test_what_else_is_in_secret_and_configuration_stays(world: World) -> None:
    world.server.put(SECRET, {"kind": "Secret", "metadata": {"labels": {"a": "b"}}, "type": "Opaque"})
    world.keeper.look()
    assert world.server.objects.get(parse_path(SECRET))["metadata"]["labels"] == {"a": "b"}
    webhook = world.server.objects.get(parse_path(HOOK))["webhooks"][1]
    assert webhook["name"] == "b.primehub.io"
    assert webhook["clientConfig"]["service"]["path"] == "/inject"


def test_it_is_renewed_for_the_service_that_the_configuration_names(world: World) -> None:
    world.keeper.look()
    configuration = world.server.objects.get(parse_path(HOOK))
    for each in configuration["webhooks"]:
        each["clientConfig"]["service"]["name"] = "other"
    world.server.put(HOOK, configuration)
    before = world.data
    world.keeper.look()
    assert world.data["tls.crt"] != before["tls.crt"]
    assert service_names("other", "hub")[0].encode() in b64decode(world.data["tls.crt"].split(b"-----")[2])


@pytest.mark.parametrize("lost", [{}, {"ca.crt": b"x", "ca.key": b"x", "tls.crt": b"x", "tls.key": b"x"}])
def test_what_pods_serve_is_trusted_until_a_new_certificate_reaches_them_though_the_secret_was_lost(
    world: World, lost: dict[str, bytes]
) -> None:
    world.keeper.look()
    served = world.data["tls.crt"]
    world.put(lost)
    world.clock.now += timedelta(seconds=7)
    world.keeper.look()
    assert world.data["tls.crt"] != served
    assert world.trusts(served)
    assert world.trusts(world.data["tls.crt"])
    world.clock.now += OVERLAP
    world.keeper.look()
    assert not world.trusts(served)
    assert world.trusts(world.data["tls.crt"])


def test_a_configuration_that_was_applied_anew_is_told_again(world: World) -> None:
    world.keeper.look()
    configuration = world.server.objects.get(parse_path(HOOK))
    for each, bundle in zip(configuration["webhooks"], ("", "bm8gY2VydGlmaWNhdGU="), strict=True):
        each["clientConfig"]["caBundle"] = bundle
    world.server.put(HOOK, configuration)
    data = world.data
    world.keeper.look()
    assert world.data == data
    assert world.trusts(data["tls.crt"])


def test_nothing_is_stored_that_could_not_be_told(world: World) -> None:
    world.server.script.add("status", changes("mutatingwebhookconfigurations"))
    with pytest.raises(errors.ServerFault):
        world.keeper.look()
    assert world.data == {}
    world.keeper.look()
    assert world.trusts(world.data["tls.crt"])


@pytest.mark.parametrize("path", [HOOK, SECRET])
def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(world: World, path: str) -> None:
    theirs = {**world.server.objects.get(parse_path(path)), "theirs": True}
    is_ours = changes(parse_path(path).plural)
    world.server.script.add("status", lambda request: is_ours(request) and not world.server.put(path, theirs))
    with pytest.raises((errors.Conflict, errors.Invalid)):
        world.keeper.look()
    world.server.script.clear()
    world.keeper.look()
    assert world.trusts(world.data["tls.crt"])
    assert world.server.objects.get(parse_path(path))["theirs"]


PACE = st.sampled_from([timedelta(seconds=30), timedelta(hours=13), timedelta(days=9), timedelta(days=20)])
EVENTS = st.sampled_from(["", "", "secret lost", "configuration refuses", "secret refuses", "authority due"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PACE, EVENTS), max_size=8))
def test_over_any_course_of_time_and_trouble_what_is_served_is_trusted(
    server: ApiServer, client: Client, course: list[tuple[timedelta, str]]
) -> None:
    server.script.clear()
    world = World(server, client)
    world.keeper.look()
    served = world.data["tls.crt"]
    for pace, event in course:
        server.script.clear()
        world.clock.now += pace
        if event == "authority due":
            world.clock.now += AUTHORITY_LIFE * 2 / 3
            world.keeper.look()
            served = world.data["tls.crt"]
        if event == "secret lost":
            world.put({})
        if event.endswith("refuses"):
            plural = "secrets" if event.startswith("secret") else "mutatingwebhookconfigurations"
            server.script.add("status", changes(plural))
        with suppress(errors.ServerFault):
            world.keeper.look()
        assert world.trusts(served)  # the pods have not seen the Secret's news yet
        served = world.data.get("tls.crt", served)
        assert world.trusts(served)


def test_a_key_of_links_is_made_once(server: ApiServer, client: Client) -> None:
    server.put(SECRETS.path("links"), {"kind": "Secret", "data": {"other": "eA=="}})
    keeper = LinkKey(ResourceClient(client, SECRETS), "links")
    keeper.look()
    first = server.objects.get(parse_path(SECRETS.path("links")))["data"]
    assert len(b64decode(first["link-key"])) >= 32
    assert first["other"] == "eA=="
    keeper.look()
    assert server.objects.get(parse_path(SECRETS.path("links")))["data"] == first


class Duty:
    """Fails as often as it is told."""

    name = "duty"

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.looks = list(faults), 0

    def look(self) -> None:
        self.looks += 1
        if self.faults:
            raise self.faults.pop(0)


def test_only_the_leader_looks_and_what_failed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    leads = threading.Event()
    duty, other = Duty(errors.Unreachable("no answer"), KeyError("webhooks")), Duty()
    upkeep = Upkeep([duty, other], leads.is_set, seconds=3600)
    upkeep.start()
    try:
        upkeep.wake()
        assert (duty.looks, other.looks) == (0, 0)
        leads.set()
        upkeep.wake()
        until(lambda: duty.looks == 3, "it was tried again after both faults")
    finally:
        upkeep.stop()
    assert other.looks == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


def test_a_controller_that_only_watches_keeps_both_though_phjobs_are_not_known(
    server: ApiServer, client: Client
) -> None:
    world = World(server, client, "ns")
    links = Resource("", "v1", "secrets", "ns").path("links")
    server.put(links, {"kind": "Secret"})
    server.missing.add("phjobs")
    told = replace(SETTINGS, reconcile=False, certificate_secret="tls", link_key_secret="links")
    controller = Controller(client, told, "me")
    controller.start()
    try:
        until(lambda: "tls.crt" in world.data, "the certificate is there")
        until(lambda: server.objects.get(parse_path(links)).get("data"), "the key is there")
    finally:
        controller.stop()


def test_without_their_settings_neither_is_touched(server: ApiServer, client: Client) -> None:
    world = World(server, client, "ns")
    controller = Controller(client, SETTINGS, "me")
    controller.start()
    try:
        until(lambda: any("leases" in request.path for request in server.requests if request.method == "POST"), "leads")
    finally:
        controller.stop()
    assert world.data == {}
    assert not [request for request in server.requests if "webhookconfigurations" in request.path]

"""PrimeHub's objects in Kubernetes: listed when they are needed, and cached even if there are none."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from api.definitions.kubernetes import (
    ABSENT_SECONDS,
    FRESH_SECONDS,
    MAX_DEFINITIONS,
    RETRY_SECONDS,
    KubernetesDefinitions,
)
from tests.kube.apiserver import ApiServer

ROOT = "/apis/primehub.io/v1alpha1/namespaces/hub"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def definitions(server: ApiServer, clock: list[float]) -> Iterator[KubernetesDefinitions]:
    client = server.client()
    yield KubernetesDefinitions(client, "hub", lambda: clock[0])
    client.close()


def put(server: ApiServer, plural: str, name: str, **spec: Any) -> None:
    server.put(f"{ROOT}/{plural}/{name}", {"metadata": {"name": name}, "spec": spec})


def test_objects_are_listed_and_cached(
    server: ApiServer, definitions: KubernetesDefinitions, clock: list[float]
) -> None:
    put(server, "instancetypes", "cpu-1", displayName="One")
    put(server, "images", "base", groupName="b")
    for _ in range(5):
        assert [definition.display_name for definition in definitions.instance_types()] == ["One"]
        assert [definition.group for definition in definitions.images()] == ["b"]
    assert len(server.requests) == 2
    put(server, "instancetypes", "cpu-2")
    clock[0] += FRESH_SECONDS
    assert [definition.name for definition in definitions.instance_types()] == ["cpu-1", "cpu-2"]


@pytest.mark.parametrize("status", [403, 404])
def test_cluster_without_definitions_is_asked_rarely(
    server: ApiServer,
    definitions: KubernetesDefinitions,
    clock: list[float],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "api.definitions.kubernetes")
    if status == 404:
        server.missing |= {"instancetypes", "images"}
    else:
        server.script.add("status", lambda request: request.is_list, code=403, times=4)
    for seconds in (0, FRESH_SECONDS, ABSENT_SECONDS - FRESH_SECONDS - 1):
        clock[0] += seconds
        assert (definitions.instance_types(), definitions.images()) == ((), ())
    assert len(server.requests) == 2
    clock[0] += 2
    assert (definitions.instance_types(), definitions.images()) == ((), ())
    assert len(server.requests) == 4
    assert [record.message for record in caplog.records].count("no definitions") == 2


def test_last_known_definitions_are_used_while_the_api_server_fails(
    server: ApiServer, definitions: KubernetesDefinitions, clock: list[float]
) -> None:
    put(server, "images", "base")
    assert len(definitions.images()) == 1
    clock[0] += FRESH_SECONDS
    server.script.add("status", lambda request: request.is_list, code=500)
    assert len(definitions.images()) == 1
    put(server, "images", "other")
    clock[0] += RETRY_SECONDS
    assert len(definitions.images()) == 2


def test_many_objects_are_listed_up_to_a_limit(server: ApiServer, definitions: KubernetesDefinitions) -> None:
    for number in range(MAX_DEFINITIONS + 50):
        put(server, "images", f"image-{number:04}")
    names = [definition.name for definition in definitions.images()]
    assert names == [f"image-{number:04}" for number in range(MAX_DEFINITIONS)]

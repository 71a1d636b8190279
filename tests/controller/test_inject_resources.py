"""Resources: the pod's quality of service class stays what it was, by the kubelet's own rules."""

from decimal import Decimal

import pytest

from controller.inject.quantity import parse_quantity
from controller.inject.resources import qos_class
from tests.controller.pods import Document, injected, make_pod, make_settings, sidecar

ONE: Document = {"cpu": "1", "memory": "1Gi"}


def resources(main: Document | None, **environ: str) -> Document:
    return dict(sidecar(make_pod(main={"resources": main}), make_settings(**environ))["resources"])


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (None, "BestEffort"),
        ({}, "BestEffort"),
        ({"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": ONE, "requests": {"cpu": "0"}}, "Burstable"),
        ({"limits": ONE, "requests": {"cpu": "500m", "memory": "1Gi"}}, "Burstable"),
        ({"limits": ONE}, "Guaranteed"),
        ({"limits": ONE, "requests": ONE}, "Guaranteed"),
        ({"limits": ONE, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
    ],
)
def test_the_class_of_a_pod_is_told_and_kept(main: Document | None, expected: str) -> None:
    pod = make_pod(main={"resources": main})
    assert qos_class(pod["spec"]) == expected
    assert qos_class(injected(pod)["spec"]) == expected


def test_every_container_counts() -> None:
    pod = make_pod(main={"resources": {"limits": ONE}}, initContainers=[{"name": "setup", "image": "busybox"}])
    assert qos_class(pod["spec"]) == "Burstable"
    assert qos_class(injected(pod)["spec"]) == "Burstable"


def test_a_pod_that_asks_for_nothing_gets_a_sidecar_that_asks_for_nothing() -> None:
    assert resources(None) == {}


def test_a_burstable_pods_sidecar_asks_for_little_and_has_no_cpu_limit() -> None:
    assert resources({"requests": {"cpu": "1"}}) == {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"memory": "256Mi"},
    }


def test_quotas_that_demand_a_cpu_limit_can_have_one() -> None:
    assert resources({"requests": {"cpu": "1"}}, PHJOB_SIDECAR_CPU_LIMIT="1")["limits"] == {
        "cpu": "1",
        "memory": "256Mi",
    }


def test_a_guaranteed_pods_sidecar_gets_what_it_may_use() -> None:
    assert resources({"limits": ONE}) == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "200m", "memory": "256Mi"},
    }


def test_where_the_pod_as_a_whole_has_resources_the_sidecar_adds_none() -> None:
    pod = make_pod(main={"resources": {"limits": ONE}}, resources={"limits": ONE})
    assert sidecar(pod)["resources"] == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"), ("100m", "0.1"), ("1.5", "1.5"), (".5", "0.5"), ("1Ki", "1024"), ("32Mi", "33554432"),
        ("1k", "1000"), ("1E", "1E18"), ("1e3", "1000"), ("1E3", "1000"), ("12e-1", "1.2"), ("5n", "5E-9"),
        (2, "2"), (0.5, "0.5"),
    ],
)  # fmt: skip
def test_quantities_are_read_as_kubernetes_reads_them(text: object, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1 Mi", "1mi", "1KI", "٣", None, "1e99999", "9" * 1000, "--1", "NaN"])
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert parse_quantity(text) is None

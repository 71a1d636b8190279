"""The sidecar's resources do not change the pod's QoS class."""

from decimal import Decimal

import pytest

from controller.inject.quantity import parse_quantity
from controller.inject.resources import qos_class
from tests.controller.pod_samples import Document, injected, make_pod, make_settings, sidecar

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
def test_the_qos_class_is_computed_and_unchanged(main: Document | None, expected: str) -> None:
    pod = make_pod(main={"resources": main})
    assert qos_class(pod["spec"]) == expected
    assert qos_class(injected(pod)["spec"]) == expected


def test_every_container_counts() -> None:
    pod = make_pod(main={"resources": {"limits": ONE}}, initContainers=[{"name": "setup", "image": "busybox"}])
    assert qos_class(pod["spec"]) == "Burstable"
    assert qos_class(injected(pod)["spec"]) == "Burstable"


def test_a_best_effort_pods_sidecar_has_no_resources() -> None:
    assert resources(None) == {}


def test_a_burstable_pods_sidecar_has_small_requests_and_no_cpu_limit() -> None:
    assert resources({"requests": {"cpu": "1"}}) == {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"memory": "256Mi"},
    }


def test_a_cpu_limit_can_be_set_for_quotas() -> None:
    assert resources({"requests": {"cpu": "1"}}, PHJOB_SIDECAR_CPU_LIMIT="1")["limits"] == {
        "cpu": "1",
        "memory": "256Mi",
    }


def test_a_guaranteed_pods_sidecar_has_equal_requests_and_limits() -> None:
    assert resources({"limits": ONE}) == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "200m", "memory": "256Mi"},
    }


def test_the_sidecar_has_no_resources_beside_pod_level_resources() -> None:
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
def test_quantities_are_parsed_as_kubernetes_does(text: object, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1 Mi", "1mi", "1KI", "٣", None, "1e99999", "9" * 1000, "--1", "NaN"])
def test_invalid_quantities_are_none(text: object) -> None:
    assert parse_quantity(text) is None

"""Metrics of requests and watches."""

from prometheus_client import CollectorRegistry

from kube.errors import Forbidden, NotConfigured
from kube.metrics import KINDS, METHODS, KubeMetrics


def test_requests_are_timed_by_method_and_errors_counted_by_kind() -> None:
    registry = CollectorRegistry()
    metrics = KubeMetrics(registry, "any")
    value = registry.get_sample_value
    assert [value("any_kubernetes_errors_total", {"kind": kind}) for kind in KINDS] == [0.0] * len(KINDS)
    assert [value("any_kubernetes_seconds_count", {"method": method}) for method in METHODS] == [0.0] * len(METHODS)
    metrics.observe_request("GET", 0.5, None)
    metrics.observe_request("WATCH", 1.5, Forbidden(403, "Forbidden", "no"))
    metrics.observe_request("GET", 0.0, NotConfigured("no token"))
    assert value("any_kubernetes_seconds_sum", {"method": "GET"}) == 0.5
    assert value("any_kubernetes_seconds_count", {"method": "WATCH"}) == 1
    assert value("any_kubernetes_errors_total", {"kind": "Forbidden"}) == 1
    assert value("any_kubernetes_errors_total", {"kind": "other"}) == 1


def test_watch_ages_are_read_at_each_scrape() -> None:
    registry = CollectorRegistry()
    ages = iter([1.0, 2.0])
    KubeMetrics(registry, "any").export_ages({"pods": lambda: next(ages)})
    values = [registry.get_sample_value("any_watch_age_seconds", {"resource": "pods"}) for _ in range(2)]
    assert values == [1.0, 2.0]

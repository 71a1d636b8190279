"""The sidecar's resources, chosen so that the pod keeps its quality of service (QoS) class.

The class determines which pods are evicted or killed first and which pods get exclusive CPUs, so injection must not
change it. The rules are those of the kubelet (`ComputePodQOS`): every container counts, including init containers.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from controller.inject.pod import Document, all_containers, get_mapping
from controller.inject.quantity import parse_quantity
from controller.settings import WebhookSettings

_QOS_RESOURCES = ("cpu", "memory")


def sidecar_resources(spec: Mapping[str, Any], settings: WebhookSettings) -> Document:
    """Return the sidecar's `resources` for a pod with this spec."""
    if get_mapping(spec, "resources"):
        # Pod-level resources determine the class, and the requests of containers must fit into them.
        return {}
    pod_class = qos_class(spec)
    if pod_class == "BestEffort":
        return {}  # a limit would make it Burstable; the sidecar's memory is bounded by what it scans, at about 120 MB
    if pod_class == "Guaranteed":
        amounts = {"cpu": settings.guaranteed_cpu, "memory": settings.memory_limit}
        return {"requests": dict(amounts), "limits": dict(amounts)}
    limits = {"memory": settings.memory_limit} | ({"cpu": settings.cpu_limit} if settings.cpu_limit else {})
    return {"requests": {"cpu": settings.cpu_request, "memory": settings.memory_request}, "limits": limits}


def qos_class(spec: Mapping[str, Any]) -> str:
    """Return the QoS class of a pod without pod-level resources: BestEffort, Burstable or Guaranteed."""
    has_any, is_guaranteed = False, True
    for container in all_containers(spec):
        resources = get_mapping(container, "resources")
        limits = _positive_amounts(get_mapping(resources, "limits"))
        # The API server sets a missing request to the limit.
        requests = _positive_amounts(get_mapping(resources, "limits") | get_mapping(resources, "requests"))
        has_any = has_any or bool(limits or requests)
        # The kubelet compares sums. No request exceeds its limit, so the sums are equal only if each pair is.
        is_guaranteed = is_guaranteed and len(limits) == len(_QOS_RESOURCES) and requests == limits
    if not has_any:
        return "BestEffort"
    return "Guaranteed" if is_guaranteed else "Burstable"


def _positive_amounts(resources: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the amounts of CPU and memory that are greater than zero."""
    amounts = {name: parse_quantity(resources.get(name)) for name in _QOS_RESOURCES}
    return {name: amount for name, amount in amounts.items() if amount is not None and amount > 0}

"""What the sidecar asks for: such that the pod's quality of service class stays what it was.

The class decides who is evicted and killed first, and which CPUs a job has to itself; a collector must not change it.
The rules are those of the kubelet (`ComputePodQOS`): every container counts, init containers too.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from controller.inject.pod import Document, all_containers, mapping
from controller.inject.quantity import parse_quantity
from controller.settings import Settings

_COUNTED = ("cpu", "memory")


def sidecar_resources(spec: Mapping[str, Any], settings: Settings) -> Document:
    """The sidecar's `resources`."""
    if mapping(spec, "resources"):
        # They are the pod's as a whole, and decide its class; what containers ask for must fit into them.
        return {}
    found = qos_class(spec)
    if found == "BestEffort":
        return {}
    if found == "Guaranteed":
        amount = {"cpu": settings.guaranteed_cpu, "memory": settings.memory_limit}
        return {"requests": dict(amount), "limits": dict(amount)}
    limits = {"memory": settings.memory_limit} | ({"cpu": settings.cpu_limit} if settings.cpu_limit else {})
    return {"requests": {"cpu": settings.cpu_request, "memory": settings.memory_request}, "limits": limits}


def qos_class(spec: Mapping[str, Any]) -> str:
    """The class of a pod whose resources are told by its containers: BestEffort, Burstable or Guaranteed."""
    told, guaranteed = False, True
    for container in all_containers(spec):
        resources = mapping(container, "resources")
        limits = _amounts(mapping(resources, "limits"))
        # What is limited and not asked for is asked for as the limit has it.
        requests = _amounts(mapping(resources, "limits") | mapping(resources, "requests"))
        told = told or bool(limits or requests)
        # No request may be more than its limit, so the sums that the kubelet compares are equal where each pair is.
        guaranteed = guaranteed and len(limits) == len(_COUNTED) and requests == limits
    if not told:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(told: Mapping[str, Any]) -> dict[str, Decimal]:
    """What is more than nothing of CPU and memory."""
    amounts = {name: parse_quantity(told.get(name)) for name in _COUNTED}
    return {name: amount for name, amount in amounts.items() if amount is not None and amount > 0}

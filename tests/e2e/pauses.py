"""Pauses of injection after failures of sidecars."""

import json
import time

from controller.documents import format_time
from controller.injection_pauses import CONFIG_MAP, RESUMED_AT_ANNOTATION
from tests.e2e.kubectl import kubectl
from tests.e2e.system import System


def paused(system: System) -> list[str]:
    """Return for whom injection is paused."""
    with system.objects("configmaps") as config_maps:
        return sorted(config_maps.get(CONFIG_MAP).get("data") or {})


def resume(system: System) -> None:
    """End all pauses; failures before now do not count any more."""
    resumed_at = time.time() + 1  # times of pods are whole seconds
    annotations = {RESUMED_AT_ANNOTATION: format_time(resumed_at)}
    patch = json.dumps({"metadata": {"annotations": annotations}, "data": None})
    kubectl("-n", system.namespace, "patch", "configmap", CONFIG_MAP, "--type=merge", "-p", patch)
    system.wait(lambda: time.time() > resumed_at + 1, "pods that are created after that time")
    system.wait(system.is_injecting, "injection is on")

"""Properties of injection that hold for all pods."""

import copy
import json
from typing import Any

from hypothesis import given

from artifacts.settings import SidecarSettings
from controller.inject.injection import OUTCOMES, inject
from controller.inject.quantity import parse_quantity
from controller.patch import make_patch
from tests.controller.pod_samples import NEW, SETTINGS, Document, env_of, patched, pods

READABLE = {"emptyDir", "persistentVolumeClaim", "ephemeral"}
OUR_ANNOTATIONS = ("primehub.io/artifact-sidecar", "primehub.io/artifact-original-grace-seconds")


def added_sidecar(pod: Document) -> Document | None:
    """Return the sidecar that a pod gets, or None."""
    injection = inject(pod, SETTINGS, NEW)
    return dict(injection.pod["spec"]["initContainers"][0]) if injection.outcome == "injected" else None


def without_injection(pod: Document) -> Document:
    """Return the pod without everything that injection may add or change."""
    pod = copy.deepcopy(pod)
    spec, metadata = pod["spec"], pod["metadata"]
    containers = spec.get("initContainers") or []
    spec["initContainers"] = [container for container in containers if container["name"] != "phjob-artifacts"]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "phjob-artifacts-no-token"]
    spec.pop("terminationGracePeriodSeconds", None)
    annotations = metadata.pop("annotations", None) or {}
    metadata["annotations"] = {name: text for name, text in annotations.items() if name not in OUR_ANNOTATIONS}
    for container in spec["containers"]:
        if container["name"] == "main":
            env = container.get("env") or []
            container["env"] = [variable for variable in env if variable["name"] != "ARTIFACTS_SRC"]
    return pod


@given(pods())
def test_an_independent_library_applies_the_patch(pod: Document) -> None:
    result, injection = patched(pod)
    assert result == injection.pod
    assert injection.outcome in OUTCOMES
    json.dumps(injection.pod)


@given(pods())
def test_injection_of_any_pod_is_idempotent(pod: Document) -> None:
    once = inject(pod, SETTINGS, NEW).pod
    again = inject(once, SETTINGS, NEW)
    assert again.pod == once
    assert list(make_patch(once, again.pod)) == []


@given(pods())
def test_everything_else_is_unchanged(pod: Document) -> None:
    before = copy.deepcopy(pod)
    assert without_injection(inject(pod, SETTINGS, NEW).pod) == without_injection(pod)
    assert pod == before


@given(pods())
def test_only_data_volumes_are_mounted_and_only_phfs_is_writable(pod: Document) -> None:
    sidecar = added_sidecar(pod)
    if sidecar is None:
        return
    sources = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = [mount for container in pod["spec"]["containers"] for mount in container["volumeMounts"]]
    used = {mount["name"] for mount in mounts}
    phfs = {
        mount["name"] for mount in mounts if mount["mountPath"] == "/phfs"
    }  # the API server accepts only one mount per path
    for mount in sidecar["volumeMounts"]:
        if mount["name"] == "phjob-artifacts-no-token":
            continue
        assert sources[mount["name"]].keys() & READABLE
        assert mount["name"] in used
        assert mount.get("readOnly") or (mount["mountPath"] == "/phfs" and mount["name"] in phfs)
        assert mount.get("mountPropagation") != "Bidirectional"


@given(pods())
def test_mounts_are_not_nested_and_hidden_paths_are_within_volumes(pod: Document) -> None:
    sidecar = added_sidecar(pod)
    if sidecar is None:
        return
    paths = [mount["mountPath"] for mount in sidecar["volumeMounts"]]
    assert [(a, b) for a in paths for b in paths if a != b and b.startswith(a + "/")] == []
    assert len(set(paths)) == len(paths)
    settings = SidecarSettings.from_env(env_of(sidecar))
    assert {"/home/jovyan", "/phfs"} <= set(settings.volumes)
    assert {f"/job{path}" for path in settings.volumes} == {path for path in paths if path.startswith("/job/")}
    for hidden in settings.hidden_paths:
        assert any(hidden.startswith(path + "/") for path in settings.volumes)
        assert not any(path == hidden or path.startswith(hidden + "/") for path in settings.volumes)


@given(pods())
def test_all_mounts_below_volumes_are_hidden_paths(pod: Document) -> None:
    sidecar = added_sidecar(pod)
    if sidecar is None:
        return
    settings = SidecarSettings.from_env(env_of(sidecar))
    (main,) = [container for container in pod["spec"]["containers"] if container["name"] == "main"]
    for mount in main["volumeMounts"]:
        path = "/" + "/".join(part for part in mount["mountPath"].split("/") if part)
        if ":" in path or ".." in path:
            continue
        below = any(path.startswith(volume + "/") for volume in settings.volumes)
        assert (path in settings.hidden_paths) == below


@given(pods())
def test_the_sidecar_meets_the_baseline_level(pod: Document) -> None:
    sidecar = added_sidecar(pod)
    if sidecar is None:
        return
    context = sidecar["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] in ({"drop": ["ALL"]}, {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]})
    assert (context["runAsUser"] == 0) == ("add" in context["capabilities"])
    assert context["runAsNonRoot"] == (context["runAsUser"] != 0)
    assert all("hostPort" not in port for port in sidecar.get("ports", []))
    assert not pod["spec"].get("hostNetwork") or "ports" not in sidecar
    assert sidecar["restartPolicy"] == "Always"
    assert "startupProbe" not in sidecar


@given(pods())
def test_the_qos_class_is_unchanged_by_the_kubelets_rules(pod: Document) -> None:
    set_default_requests(pod)
    if not has_valid_resources(pod):
        return
    after = inject(pod, SETTINGS, NEW).pod
    set_default_requests(after)
    assert compute_pod_qos(after["spec"]) == compute_pod_qos(pod["spec"])


@given(pods())
def test_the_grace_period_is_never_lowered(pod: Document) -> None:
    before = pod["spec"].get("terminationGracePeriodSeconds") or 0
    assert (inject(pod, SETTINGS, NEW).pod["spec"].get("terminationGracePeriodSeconds") or 0) >= before


def set_default_requests(pod: Document) -> None:
    """Set missing requests to the limits, as the API server does."""
    for field in ("containers", "initContainers"):
        for container in pod["spec"].get(field) or []:
            resources = container["resources"]
            if "limits" in resources:
                resources["requests"] = resources["limits"] | resources.get("requests", {})


def has_valid_resources(pod: Document) -> bool:
    """Whether the API server would accept the resources: valid quantities, and no request above its limit."""
    for field in ("containers", "initContainers"):
        for container in pod["spec"].get(field) or []:
            limits = container["resources"].get("limits", {})
            for amounts in container["resources"].values():
                if any(parse_quantity(amount) is None for amount in amounts.values()):
                    return False
            for name, amount in container["resources"].get("requests", {}).items():
                if name in limits and number(amount) > number(limits[name]):
                    return False
    return True


def number(text: str) -> float:
    return float(parse_quantity(text) or 0)


def positive_amounts(resources: dict[str, str]) -> dict[str, float]:
    amounts = {name: number(resources[name]) for name in ("cpu", "memory") if name in resources}
    return {name: amount for name, amount in amounts.items() if amount > 0}


def compute_pod_qos(spec: Document) -> str:
    """Compute the class with sums, as the kubelet's ComputePodQOS does: an independent oracle."""
    requests: dict[str, float] = {}
    limits: dict[str, float] = {}
    guaranteed = True
    all_containers: list[Any] = [*(spec.get("initContainers") or []), *spec["containers"]]
    if spec.get("resources"):
        all_containers = [{"resources": spec["resources"] | {"requests": spec["resources"]["limits"]}}]
    for container in all_containers:
        for sums, field in ((requests, "requests"), (limits, "limits")):
            for name, amount in positive_amounts(container["resources"].get(field, {})).items():
                sums[name] = sums.get(name, 0) + amount
        limited = positive_amounts(container["resources"].get("limits", {}))
        guaranteed = guaranteed and limited.keys() == {"cpu", "memory"}
    if not requests and not limits:
        return "BestEffort"
    are_equal = all(abs(limits.get(name, -1) - amount) < 1e-6 for name, amount in requests.items())
    return "Guaranteed" if guaranteed and are_equal and len(requests) == len(limits) else "Burstable"

"""Injection on whatever pods may look like: what holds for every one of them."""

import copy
import json
from typing import Any

from hypothesis import given

from artifacts.settings import SidecarSettings
from controller.inject.injection import OUTCOMES, inject
from controller.inject.quantity import parse_quantity
from controller.patch import make_patch
from tests.controller.pods import NEW, SETTINGS, Document, env_of, patched, pods

READABLE = {"emptyDir", "persistentVolumeClaim", "ephemeral"}
OUR_ANNOTATIONS = ("primehub.io/artifact-sidecar", "primehub.io/artifact-original-grace-seconds")


def added(pod: Document) -> Document | None:
    """The sidecar that a pod gets, if it gets one."""
    found = inject(pod, SETTINGS, NEW)
    return dict(found.pod["spec"]["initContainers"][0]) if found.outcome == "injected" else None


def without_ours(pod: Document) -> Document:
    """The pod without all that injection may add or change."""
    pod = copy.deepcopy(pod)
    spec, metadata = pod["spec"], pod["metadata"]
    spec["initContainers"] = [each for each in spec.get("initContainers") or [] if each["name"] != "phjob-artifacts"]
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] != "phjob-artifacts-no-token"]
    spec.pop("terminationGracePeriodSeconds", None)
    annotations = metadata.pop("annotations", None) or {}
    metadata["annotations"] = {name: text for name, text in annotations.items() if name not in OUR_ANNOTATIONS}
    for container in spec["containers"]:
        if container["name"] == "main":
            env = container.get("env") or []
            container["env"] = [each for each in env if each["name"] != "PHJOB_ARTIFACT_ENABLED"]
    return pod


@given(pods())
def test_the_patch_makes_the_pod_by_another_reading_of_the_standard(pod: Document) -> None:
    made, found = patched(pod)
    assert made == found.pod
    assert found.outcome in OUTCOMES
    json.dumps(found.pod)


@given(pods())
def test_twice_is_once(pod: Document) -> None:
    once = inject(pod, SETTINGS, NEW).pod
    again = inject(once, SETTINGS, NEW)
    assert again.pod == once
    assert list(make_patch(once, again.pod)) == []


@given(pods())
def test_what_is_not_ours_stays(pod: Document) -> None:
    given_pod = copy.deepcopy(pod)
    assert without_ours(inject(pod, SETTINGS, NEW).pod) == without_ours(pod)
    assert pod == given_pod


@given(pods())
def test_only_what_main_works_in_is_mounted_and_only_phfs_to_write(pod: Document) -> None:
    sidecar = added(pod)
    if sidecar is None:
        return
    sources = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = [mount for container in pod["spec"]["containers"] for mount in container["volumeMounts"]]
    mine = {mount["name"] for mount in mounts}
    phfs = {mount["name"] for mount in mounts if mount["mountPath"] == "/phfs"}  # of several, any: no pod may have them
    for mount in sidecar["volumeMounts"]:
        if mount["name"] == "phjob-artifacts-no-token":
            continue
        assert sources[mount["name"]].keys() & READABLE
        assert mount["name"] in mine
        assert mount.get("readOnly") or (mount["mountPath"] == "/phfs" and mount["name"] in phfs)
        assert mount.get("mountPropagation") != "Bidirectional"


@given(pods())
def test_no_mount_lies_within_another_and_hidden_paths_lie_within_a_mount(pod: Document) -> None:
    sidecar = added(pod)
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
def test_whatever_main_sees_below_a_volume_that_the_sidecar_does_not_is_told(pod: Document) -> None:
    sidecar = added(pod)
    if sidecar is None:
        return
    settings = SidecarSettings.from_env(env_of(sidecar))
    (main,) = [each for each in pod["spec"]["containers"] if each["name"] == "main"]
    for mount in main["volumeMounts"]:
        path = "/" + "/".join(part for part in mount["mountPath"].split("/") if part)
        if ":" in path or ".." in path:
            continue
        below = any(path.startswith(volume + "/") for volume in settings.volumes)
        assert (path in settings.hidden_paths) == below


@given(pods())
def test_the_sidecar_is_never_more_than_the_baseline_allows(pod: Document) -> None:
    sidecar = added(pod)
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
def test_the_quality_of_service_stays_by_the_kubelets_sums(pod: Document) -> None:
    defaulted(pod)
    if not is_possible(pod):
        return
    after = inject(pod, SETTINGS, NEW).pod
    defaulted(after)
    assert compute_pod_qos(after["spec"]) == compute_pod_qos(pod["spec"])


@given(pods())
def test_a_grace_period_only_grows(pod: Document) -> None:
    before = pod["spec"].get("terminationGracePeriodSeconds") or 0
    assert (inject(pod, SETTINGS, NEW).pod["spec"].get("terminationGracePeriodSeconds") or 0) >= before


def defaulted(pod: Document) -> None:
    """As the API server: what is limited and not asked for is asked for."""
    for field in ("containers", "initContainers"):
        for container in pod["spec"].get(field) or []:
            resources = container["resources"]
            if "limits" in resources:
                resources["requests"] = resources["limits"] | resources.get("requests", {})


def is_possible(pod: Document) -> bool:
    """Whether the API server would take its resources: quantities, and no request above its limit."""
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


def compute_pod_qos(spec: Document) -> str:
    """The kubelet's ComputePodQOS, with its sums, as an oracle of its own."""
    requests: dict[str, float] = {}
    limits: dict[str, float] = {}
    guaranteed = True
    everything: list[Any] = [*(spec.get("initContainers") or []), *spec["containers"]]
    if spec.get("resources"):
        everything = [{"resources": spec["resources"] | {"requests": spec["resources"]["limits"]}}]
    for container in everything:
        limited = set()
        for sums, field in ((requests, "requests"), (limits, "limits")):
            for name, amount in container["resources"].get(field, {}).items():
                if name in ("cpu", "memory") and number(amount) > 0:
                    sums[name] = sums.get(name, 0) + number(amount)
                    if field == "limits":
                        limited.add(name)
        guaranteed = guaranteed and limited == {"cpu", "memory"}
    if not requests and not limits:
        return "BestEffort"
    same = all(abs(limits.get(name, -1) - amount) < 1e-6 for name, amount in requests.items())
    return "Guaranteed" if guaranteed and same and len(requests) == len(limits) else "Burstable"

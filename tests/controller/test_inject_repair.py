"""Reinvocation: what the webhook does with a pod that a fellow webhook changed after injection."""

import copy
import time
from collections.abc import Callable

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.inject.cluster_version import ClusterVersion
from controller.inject.injection import inject
from controller.patch import make_patch
from tests.controller.pod_samples import (
    NEW,
    SETTINGS,
    Document,
    injected,
    make_pod,
    make_settings,
    pods,
    primehub_pod,
    sidecar_in,
)
from tests.fellow_changes import DAMAGE, KEPT, WITHDRAWAL

Change = Callable[[Document], None]
OUTCOME, ORIGINAL_GRACE = "primehub.io/artifact-sidecar", "primehub.io/artifact-original-grace-seconds"
# After these the webhook cannot know the original grace period.
FORGETTING = ("drop-annotations", "drop-everything-but-the-volume")
# The pod stays Burstable, because of PrimeHub's own init container.
HARMLESS = ("make-guaranteed",)


def changed(pod: Document, change: Change) -> Document:
    """Return the changed pod as the API server then sends it: with defaults, and without empty values."""
    result = copy.deepcopy(pod)
    change(result)
    result["spec"].setdefault("terminationGracePeriodSeconds", 30)
    for container in result["spec"].get("initContainers") or []:
        for variable in container.get("env") or []:
            if variable.get("value") == "":
                del variable["value"]
    return result


def comparable(pod: Document, *, ignore_original_grace: bool = False) -> Document:
    """Return the pod without differences that mean nothing."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    pod["metadata"].setdefault("annotations", {})
    spec["volumes"] = sorted(spec.get("volumes") or [], key=lambda volume: str(volume["name"]))
    spec["initContainers"] = spec.get("initContainers") or []
    spec["terminationGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds") or 30
    for container in [*spec["initContainers"], *spec["containers"]]:
        variables = container.get("env") or []
        env = [{field: value for field, value in variable.items() if value != ""} for variable in variables]
        container["env"] = sorted(env, key=lambda variable: str(variable["name"]))
    for container in spec["initContainers"][:1]:
        container["volumeMounts"] = sorted(container.get("volumeMounts") or [], key=lambda mount: mount["mountPath"])
    if ignore_original_grace:
        remove_original_grace(pod)
    return pod


def remove_original_grace(pod: Document) -> None:
    """Remove the original grace period and what follows from it: the raised one then counts as the original."""
    pod["metadata"]["annotations"].pop(ORIGINAL_GRACE, None)
    del pod["spec"]["terminationGracePeriodSeconds"]
    for container in pod["spec"]["initContainers"][:1]:
        container["env"] = [each for each in container["env"] if each["name"] != "PHJOB_ARTIFACT_GRACE_SECONDS"]


@pytest.mark.parametrize("name", DAMAGE)
def test_the_sidecar_is_restored_to_what_would_be_injected_now(name: str) -> None:
    change, pod = DAMAGE[name], primehub_pod()
    injection = inject(changed(injected(pod), change), SETTINGS, NEW)
    ignore = name in FORGETTING
    expected = injected(changed(pod, change))
    assert comparable(injection.pod, ignore_original_grace=ignore) == comparable(expected, ignore_original_grace=ignore)
    assert injection.outcome == ("already-injected" if name in HARMLESS else "repaired")
    again = inject(changed(injection.pod, lambda _: None), SETTINGS, NEW)
    assert again.outcome == "already-injected"


@pytest.mark.parametrize("name", WITHDRAWAL)
def test_every_trace_is_removed_if_the_pod_can_no_longer_have_the_sidecar(name: str) -> None:
    change, pod = WITHDRAWAL[name], primehub_pod()
    injection = inject(changed(injected(pod), change), SETTINGS, NEW)
    expected = inject(changed(pod, change), SETTINGS, NEW)
    assert comparable(injection.pod) == comparable(expected.pod)
    assert (injection.outcome, injection.warnings) == (expected.outcome, expected.warnings)
    assert "phjob-artifacts" not in str(injection.pod["spec"])


@pytest.mark.parametrize("name", KEPT)
def test_changes_that_the_sidecar_works_with_are_kept(name: str) -> None:
    pod = changed(injected(primehub_pod()), KEPT[name])
    injection = inject(pod, SETTINGS, NEW)
    assert (injection.outcome, injection.pod) == ("already-injected", pod)


@pytest.mark.parametrize("name", KEPT)
def test_a_repair_keeps_the_changes_that_the_sidecar_works_with(name: str) -> None:
    kept = changed(injected(primehub_pod()), KEPT[name])
    damaged = changed(kept, DAMAGE["drop-restart-policy"])
    assert sidecar_in(inject(damaged, SETTINGS, NEW).pod) == sidecar_in(kept)


def test_a_sidecar_gets_resources_if_its_pod_is_no_longer_best_effort() -> None:
    pod = primehub_pod()
    for container in pod["spec"]["containers"]:
        container.pop("resources", None)
    pod["spec"]["containers"].append({"name": "other", "image": "busybox"})
    assert sidecar_in(injected(pod))["resources"] == {}
    damaged = changed(injected(pod), DAMAGE["make-guaranteed"])
    assert sidecar_in(inject(damaged, SETTINGS, NEW).pod)["resources"]["limits"]


@given(pods(), st.sampled_from([*DAMAGE.items(), *WITHDRAWAL.items(), ("none", lambda _: None)]))
def test_repair_of_any_pod_gives_what_would_be_injected_now(pod: Document, named: tuple[str, Change]) -> None:
    name, change = named
    damaged, fresh = changed(inject(pod, SETTINGS, NEW).pod, change), changed(pod, change)
    injection, ignore = inject(damaged, SETTINGS, NEW), name in FORGETTING
    expected = inject(fresh, SETTINGS, NEW).pod
    assert comparable(injection.pod, ignore_original_grace=ignore) == comparable(expected, ignore_original_grace=ignore)
    assert jsonpatch.apply_patch(damaged, list(make_patch(damaged, injection.pod))) == injection.pod
    assert inject(injection.pod, SETTINGS, NEW).pod == injection.pod


@given(pods(), st.lists(st.sampled_from([*DAMAGE.values(), *WITHDRAWAL.values(), *KEPT.values()]), max_size=4))
def test_after_any_changes_the_sidecar_is_whole_or_gone(pod: Document, changes: list[Change]) -> None:
    current = inject(pod, SETTINGS, NEW).pod
    for change in changes:
        current = changed(current, change)
    injection = inject(current, SETTINGS, NEW)
    containers = injection.pod["spec"].get("initContainers") or []
    if injection.outcome in ("injected", "already-injected", "repaired"):
        assert (containers[0]["name"], containers[0]["restartPolicy"]) == ("phjob-artifacts", "Always")
        assert injection.pod["metadata"]["annotations"][OUTCOME] == "injected"
    else:
        assert all("phjob-artifacts" not in container["name"] for container in containers)
    assert inject(injection.pod, SETTINGS, NEW).pod == injection.pod


def test_a_pod_that_loses_its_conditions_loses_the_sidecar() -> None:
    pod = injected(make_pod())
    injection = inject(pod, SETTINGS, ClusterVersion((1, 28)))
    assert injection.outcome == "old-kubernetes"
    assert comparable(injection.pod) == comparable(inject(make_pod(), SETTINGS, ClusterVersion((1, 28))).pod)


def test_a_user_of_the_pod_becomes_the_sidecars_user() -> None:
    pod = changed(injected(make_pod()), DAMAGE["set-pod-user"])
    context = sidecar_in(inject(pod, SETTINGS, NEW).pod)["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (1000, 1000, True)
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_sidecars_resources_follow_the_pods_class() -> None:
    pod = changed(injected(make_pod()), DAMAGE["make-guaranteed"])
    assert sidecar_in(pod)["resources"] == {}
    amounts = {"cpu": "200m", "memory": "256Mi"}
    assert sidecar_in(inject(pod, SETTINGS, NEW).pod)["resources"] == {"requests": amounts, "limits": amounts}


@pytest.mark.parametrize(("grace", "original", "expected"), [(60, "30", 60), (5, "5", 60), (300, "300", 300)])
def test_a_changed_grace_period_is_the_new_original(grace: int, original: str, expected: int) -> None:
    pod = injected(make_pod())
    pod["spec"]["terminationGracePeriodSeconds"] = grace
    after = inject(pod, SETTINGS, NEW).pod
    assert after["metadata"]["annotations"][ORIGINAL_GRACE] == original
    assert after["spec"]["terminationGracePeriodSeconds"] == expected


@pytest.mark.parametrize("text", ["", "-1", "soon", "9" * 400, None, 7])
def test_a_forged_original_grace_period_does_not_matter(text: object) -> None:
    pod = injected(make_pod())
    pod["metadata"]["annotations"][ORIGINAL_GRACE] = text
    after = inject(pod, SETTINGS, NEW).pod
    assert after["metadata"]["annotations"][ORIGINAL_GRACE] == "60"


def test_a_users_own_container_or_volume_is_not_taken_for_ours() -> None:
    for spec in (
        {"initContainers": [{"name": "phjob-artifacts", "image": "mine"}]},
        {"volumes": [{"name": "phjob-artifacts-no-token", "emptyDir": {"sizeLimit": "1Gi"}}]},
    ):
        pod = make_pod(**spec)
        injection = inject(pod, SETTINGS, NEW)
        assert injection.outcome == "name-taken"
        del injection.pod["metadata"]["annotations"]
        assert injection.pod == pod


def test_a_forged_sidecar_of_any_size_is_replaced() -> None:
    forged = injected(make_pod())
    mounts = [{"name": "phfs", "mountPath": f"/forged/{number}"} for number in range(30_000)]
    forged["spec"]["initContainers"][0]["volumeMounts"] = mounts
    started_at = time.process_time()
    assert comparable(inject(forged, SETTINGS, NEW).pod) == comparable(injected(make_pod()))
    assert time.process_time() - started_at < 2


def test_an_upgrade_between_two_calls_gives_the_new_sidecar() -> None:
    new = make_settings(PHJOB_SIDECAR_IMAGE="registry.example/collector:2", PHJOB_ARTIFACT_LIMIT_FILES="5")
    assert injected(injected(make_pod()), new) == injected(make_pod(terminationGracePeriodSeconds=30), new)

"""Injection: the complete sidecar, which pods get it, and that injection is idempotent."""

import copy
import json
from typing import Any

import pytest

from artifacts.settings import SidecarSettings, unknown_settings
from controller.inject.cluster_version import ClusterVersion, parse_version
from controller.inject.injection import OUTCOMES, WITH_SIDECAR, inject
from controller.inject.pod_size import MAX_FIELDS, MAX_MOUNTS
from controller.inject.wrapper import NO_SOURCE, SOURCE_VARIABLE
from tests.controller.pod_samples import (
    NEW,
    PHFS_MOUNT,
    SETTINGS,
    VOLUMES,
    Document,
    env_of,
    injected,
    make_pod,
    make_settings,
    primehub_pod,
    sidecar,
)

OUTCOME = "primehub.io/artifact-sidecar"


def outcome(pod: Document, cluster: ClusterVersion = NEW, /, **environ: str) -> str:
    return inject(pod, make_settings(**environ), cluster).outcome


def test_a_primehub_pod_gets_this_sidecar() -> None:
    assert sidecar(primehub_pod()) == {
        "name": "phjob-artifacts",
        "image": "registry.example/sidecar:1",
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["env", "--block-signal=TERM,USR1", "python3", "-m", "sidecar"],
        "env": [
            {"name": "PHJOB_NAME", "value": "job-1"},
            {"name": "PHJOB_ARTIFACT_GRACE_SECONDS", "value": "60"},
            {"name": "PHJOB_ARTIFACT_HIDDEN_PATHS", "value": ""},
            {"name": "PHJOB_ARTIFACT_LIMIT_FILES", "value": "1000"},
            {"name": "PHJOB_ARTIFACT_LIMIT_SIZE_MB", "value": "100"},
            {"name": "PHJOB_ARTIFACT_MAIN_GID", "value": ""},
            {"name": "PHJOB_ARTIFACT_MAIN_UID", "value": "0"},
            {"name": "PHJOB_ARTIFACT_METRICS_LISTEN", "value": ":19464"},
            {"name": "PHJOB_ARTIFACT_OVER_LIMIT", "value": "reject"},
            {"name": "PHJOB_ARTIFACT_PATH", "value": "/home/jovyan/artifacts"},
            {"name": "PHJOB_ARTIFACT_PHFS", "value": "/phfs"},
            {"name": "PHJOB_ARTIFACT_PRIVATE_VOLUMES", "value": "/home/jovyan"},
            {"name": "PHJOB_ARTIFACT_RETENTION_SECONDS", "value": "604800"},
            {"name": "PHJOB_ARTIFACT_ROOT", "value": "/job"},
            {"name": "PHJOB_ARTIFACT_STORE", "value": "/phfs"},
            {"name": "PHJOB_ARTIFACT_TERMINATION_LOG", "value": "/dev/termination-log"},
            {
                "name": "PHJOB_ARTIFACT_VOLUMES",
                "value": "/dev/shm:/home/jovyan:/mnt/dataset-mnist:/phfs:/project/phusers",
            },
            {"name": "PRIMEHUB_GROUP", "value": "phusers"},
            {
                "name": "PHJOB_ARTIFACT_POD_UID",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
            },
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]},
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "kill -USR1 1"]}}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "dshm", "mountPath": "/job/dev/shm", "readOnly": True},
            {"name": "workingdir", "mountPath": "/job/home/jovyan", "readOnly": True},
            {"name": "dataset-mnist", "mountPath": "/job/mnt/dataset-mnist", "readOnly": True},
            {"name": "phfs", "mountPath": "/job/phfs", "subPath": "groups/phusers", "readOnly": True},
            {"name": "project-phusers", "mountPath": "/job/project/phusers", "readOnly": True},
            {"name": "phfs", "mountPath": "/phfs", "subPath": "groups/phusers"},
            {
                "name": "phjob-artifacts-no-token",
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": True,
            },
        ],
        "ports": [{"name": "phjob-artifacts", "containerPort": 19464, "protocol": "TCP"}],
    }


def test_the_rest_of_the_pod_is_unchanged() -> None:
    before = primehub_pod()
    after = injected(before)
    assert after["spec"]["initContainers"].pop(0)["name"] == "phjob-artifacts"
    assert after["spec"]["volumes"].pop() == {"name": "phjob-artifacts-no-token", "emptyDir": {}}
    assert after["spec"].pop("terminationGracePeriodSeconds") == 60
    assert after["metadata"]["annotations"].pop(OUTCOME) == "injected"
    assert after["metadata"]["annotations"].pop("primehub.io/artifact-original-grace-seconds") == "30"
    assert after["spec"]["containers"][0]["env"].pop() == {"name": SOURCE_VARIABLE, "value": NO_SOURCE}
    assert after == before


def test_the_given_pod_is_not_modified() -> None:
    pod = primehub_pod()
    before = copy.deepcopy(pod)
    inject(pod, SETTINGS, NEW)
    assert pod == before


def test_the_sidecar_accepts_its_environment() -> None:
    environ = env_of(sidecar(primehub_pod(), make_settings(PHJOB_ARTIFACT_SYNC_SECONDS="5")))
    settings = SidecarSettings.from_env(environ)
    assert unknown_settings(environ) == []
    assert (settings.job, settings.group, settings.sync_seconds) == ("job-1", "phusers", 5.0)
    assert settings.volumes == ("/dev/shm", "/home/jovyan", "/mnt/dataset-mnist", "/phfs", "/project/phusers")


def test_injection_is_idempotent() -> None:
    once = injected(primehub_pod())
    twice = inject(once, SETTINGS, NEW)
    assert (twice.pod, twice.outcome, twice.warnings) == (once, "already-injected", [])


def test_a_copied_annotation_does_not_prevent_injection() -> None:
    assert injected(make_pod(annotations={OUTCOME: "injected"})) == injected(make_pod())


def test_an_outdated_reason_is_replaced() -> None:
    assert injected(make_pod(annotations={OUTCOME: "no-phfs"}))["metadata"]["annotations"][OUTCOME] == "injected"


def without(field: str, name: str) -> Document:
    pod = make_pod()
    main = pod["spec"]["containers"][0]
    main[field] = [item for item in main[field] if item["name"] != name]
    return pod


def with_phfs(**changes: Any) -> Document:
    pod = without("volumeMounts", "phfs")
    pod["spec"]["containers"][0]["volumeMounts"].append({**PHFS_MOUNT, **changes})
    return pod


def with_volume(name: str, **source: Any) -> Document:
    pod = make_pod()
    pod["spec"]["volumes"] = [{"name": name, **source} if volume["name"] == name else volume for volume in VOLUMES]
    return pod


REASONS: list[tuple[str, Document]] = [
    ("no-phfs", without("volumeMounts", "phfs")),
    ("no-phfs", with_phfs(readOnly=True)),
    ("no-phfs", with_phfs(mountPath="/phfs/deeper")),
    ("no-phfs", with_volume("phfs", emptyDir={})),
    ("no-phfs", with_volume("phfs", hostPath={"path": "/"})),
    ("no-phfs", with_volume("phfs", persistentVolumeClaim={"claimName": "phfs", "readOnly": True})),
    ("no-group", with_phfs(subPath="")),
    ("no-group", with_phfs(subPath="groups")),
    ("no-group", with_phfs(subPath="groups/")),
    ("no-group", with_phfs(subPath="groups/..")),
    ("no-group", with_phfs(subPath="groups/a/b")),
    ("no-group", with_phfs(subPath="groups/A_b")),
    ("no-group", with_phfs(subPath="phusers")),
    ("no-group", with_phfs(subPath=None, subPathExpr="groups/$(GROUP)")),
    ("no-home", without("volumeMounts", "workingdir")),
    ("no-home", with_volume("workingdir", hostPath={"path": "/home"})),
    ("no-home", with_volume("workingdir", secret={"secretName": "s"})),
    ("no-main", make_pod(main={"name": "primary"})),
    ("no-main", make_pod(containers=None)),
    ("no-main", {"metadata": {}}),
    ("not-linux", make_pod(os={"name": "windows"})),
    ("too-large", make_pod([{"name": "phfs", "mountPath": f"/{number}"} for number in range(MAX_MOUNTS)])),
    ("too-large", make_pod([{"name": "phfs", "mountPath": f"/{number}" + "x" * 4000} for number in range(17)])),
    ("too-large", make_pod(tolerations=[{}] * MAX_FIELDS)),
    ("name-taken", make_pod(initContainers=[{"name": "phjob-artifacts", "image": "mine"}])),
    ("name-taken", make_pod(volumes=[{"name": "phjob-artifacts-no-token", "secret": {"secretName": "s"}}])),
]


@pytest.mark.parametrize(("reason", "pod"), REASONS, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REASONS)])
def test_a_declined_pod_is_only_annotated_with_the_reason(reason: str, pod: Document) -> None:
    injection = inject(pod, SETTINGS, NEW)
    assert injection.outcome == reason
    assert injection.pod["metadata"]["annotations"].pop(OUTCOME) == reason
    if not pod["metadata"].get("annotations"):
        del injection.pod["metadata"]["annotations"]
    assert injection.pod == pod
    assert [OUTCOMES[reason] in warning for warning in injection.warnings] == [True]


@pytest.mark.parametrize(("reason", "pod"), REASONS, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REASONS)])
def test_declining_twice_changes_nothing(reason: str, pod: Document) -> None:
    annotated = inject(pod, SETTINGS, NEW).pod
    assert inject(annotated, SETTINGS, NEW).pod == annotated


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a" * 200_000, "injected"), ("a" * 262_000, "annotations-full"), ("\u00e9" * 131_000, "annotations-full")],
)
def test_annotations_never_exceed_the_limit_of_the_api_server(value: str, expected: str) -> None:
    before = make_pod(annotations={"team": value})
    injection = inject(before, SETTINGS, NEW)
    annotations = injection.pod["metadata"]["annotations"]
    assert injection.outcome == expected
    assert sum(len(f"{name}{text}".encode()) for name, text in annotations.items()) <= 256 * 1024
    if expected != "injected":
        assert injection.pod == before
        assert [OUTCOMES[expected] in warning for warning in injection.warnings] == [True]


def test_a_declined_pod_without_room_for_the_reason_is_unchanged() -> None:
    before = without("volumeMounts", "phfs")
    before["metadata"]["annotations"] = {"team": "a" * 262_000}
    assert inject(before, SETTINGS, NEW).pod == before


def test_a_pod_that_became_too_large_loses_its_sidecar() -> None:
    most = make_pod([{"name": "phfs", "mountPath": f"/{number}"} for number in range(MAX_MOUNTS - 2)])
    once = injected(most)
    assert inject(once, SETTINGS, NEW).outcome == "already-injected"  # although the sidecar has two mounts more
    more = {"name": "phfs", "mountPath": "/more"}
    before = copy.deepcopy(once)
    once["spec"]["containers"][0]["volumeMounts"].append(more)
    injection = inject(once, SETTINGS, NEW)
    most["spec"]["containers"][0]["volumeMounts"].append(more)
    assert injection.outcome == "too-large"
    assert injection.pod["spec"] == most["spec"] | {"terminationGracePeriodSeconds": 30}
    once["spec"]["containers"][0]["volumeMounts"].pop()
    assert once == before


@pytest.mark.parametrize("version", [(1, 28), (1, 9), (0, 99)])
def test_an_old_kubernetes_gets_no_sidecar(version: tuple[int, int]) -> None:
    assert outcome(make_pod(), ClusterVersion(version)) == "old-kubernetes"


def test_an_unknown_kubernetes_is_not_reported_as_old() -> None:
    assert outcome(make_pod(), ClusterVersion(None)) == "unknown-version"


@pytest.mark.parametrize("version", [(1, 29), (1, 34), (2, 0)])
def test_a_new_kubernetes_gets_the_sidecar(version: tuple[int, int]) -> None:
    assert outcome(make_pod(), ClusterVersion(version)) == "injected"


@pytest.mark.parametrize(
    ("document", "version"),
    [
        ({"major": "1", "minor": "34"}, (1, 34)),
        ({"major": "1", "minor": "29+"}, (1, 29)),
        ({"major": "", "minor": ""}, None),
        ({"minor": "34"}, None),
        ({"major": 1, "minor": None}, None),
        ({}, None),
    ],
)
def test_versions_are_parsed_in_providers_formats(document: Document, version: tuple[int, int] | None) -> None:
    assert parse_version(document) == version


def test_a_pod_that_opts_out_is_unchanged_without_a_warning() -> None:
    pod = make_pod(annotations={"primehub.io/artifact-enabled": "false"})
    injection = inject(pod, SETTINGS, ClusterVersion(None))
    assert (injection.pod, injection.outcome, injection.warnings) == (pod, "opted-out", [])


ENABLED = "PHJOB_ARTIFACT_ENABLED"


@pytest.mark.parametrize(
    ("annotation", "variable", "default", "expected"),
    [
        (None, None, "false", "opted-out"),
        (None, "false", "true", "opted-out"),
        (None, "true", "false", "injected"),
        ("true", "false", "false", "injected"),
        ("false", "true", "true", "opted-out"),
        ("perhaps", None, "true", "injected"),
    ],
)
def test_annotations_take_precedence_over_variables_and_variables_over_defaults(
    annotation: str | None, variable: str | None, default: str, expected: str
) -> None:
    env = [{"name": ENABLED, "value": variable}] if variable else []
    annotations = {"primehub.io/artifact-enabled": annotation} if annotation else {}
    assert outcome(make_pod(main={"env": env}, annotations=annotations), **{ENABLED: default}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, 60), (30, 60), (0, 60), (59, 60), (60, 60), (61, 61), (86400 * 3, 86400 * 3)],
)
def test_the_grace_period_is_raised_but_never_lowered(given: int | None, expected: int) -> None:
    pod = make_pod() if given is None else make_pod(terminationGracePeriodSeconds=given)
    after = injected(pod)
    original = after["metadata"]["annotations"]["primehub.io/artifact-original-grace-seconds"]
    grace_seconds = env_of(after["spec"]["initContainers"][0])["PHJOB_ARTIFACT_GRACE_SECONDS"]
    assert after["spec"]["terminationGracePeriodSeconds"] == expected
    assert original == str(30 if given is None else given)
    assert grace_seconds == str(min(expected, 86400))


@pytest.mark.parametrize(
    ("annotations", "environ", "expected"),
    [
        ({"limit-size-mb": "1000"}, {}, 150),
        ({"limit-files": "5000"}, {}, 140),
        ({"limit-size-mb": "10240"}, {}, 600),  # the administrator's maximum
        ({"limit-size-mb": "1000", "grace-seconds": "40"}, {}, 40),
        ({"limit-size-mb": "1", "limit-files": "1"}, {}, 60),
        ({"limit-size-mb": "1", "limit-files": "1"}, {"PHJOB_ARTIFACT_GRACE_SECONDS": "1"}, 31),
        ({}, {"PHJOB_ARTIFACT_GRACE_SECONDS": "120"}, 120),
        ({}, {"PHJOB_ARTIFACT_GRACE_SECONDS": "20", "PHJOB_ARTIFACT_MAX_GRACE_SECONDS": "45"}, 45),
    ],
)
def test_the_grace_period_suffices_for_what_the_limits_allow(
    annotations: dict[str, str], environ: dict[str, str], expected: int
) -> None:
    pod = make_pod(annotations={f"primehub.io/artifact-{name}": text for name, text in annotations.items()})
    assert injected(pod, make_settings(**environ))["spec"]["terminationGracePeriodSeconds"] == expected


def test_a_forged_original_grace_period_is_overwritten() -> None:
    name = "primehub.io/artifact-original-grace-seconds"
    assert injected(make_pod(annotations={name: "999999"}))["metadata"]["annotations"][name] == "30"


def test_a_generated_name_comes_from_the_kubelet() -> None:
    pod = make_pod()
    pod["metadata"] = {"generateName": "job-", "labels": {}}
    assert sidecar(pod)["env"][0] == {
        "name": "PHJOB_NAME",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
    }


@pytest.mark.parametrize("field", ["shareProcessNamespace", "hostPID"])
def test_the_prestop_hook_finds_the_sidecar_among_shared_processes(field: str) -> None:
    shared: Document = {field: True}
    (_, _, command) = sidecar(make_pod(**shared))["lifecycle"]["preStop"]["exec"]["command"]
    assert "kill -USR1 1" not in command
    assert "/proc/self/ns/mnt" in command


def test_no_port_is_used_on_the_host_network() -> None:
    container = sidecar(make_pod(hostNetwork=True))
    assert "ports" not in container
    assert env_of(container)["PHJOB_ARTIFACT_METRICS_LISTEN"] == ""


def test_the_container_port_is_the_metrics_port() -> None:
    container = sidecar(make_pod(), make_settings(PHJOB_ARTIFACT_METRICS_LISTEN="127.0.0.1:9999"))
    assert container["ports"][0]["containerPort"] == 9999
    assert "ports" not in sidecar(make_pod(), make_settings(PHJOB_ARTIFACT_METRICS_LISTEN=""))


@pytest.mark.parametrize(
    ("label", "group", "has_warning"),
    [
        ("phusers", "phusers", False),
        ("escaped-phusers", "phusers", False),
        ("escaped--50h-5fusers", "ph-users", False),
        ("Ph_users", "ph-users", False),
        ("escaped-a-2db", "a-b", False),
        (None, "phusers", False),
        ("other", "phusers", True),
        ("escaped-other", "phusers", True),
        ("escaped--zz", "phusers", True),
        ("", "phusers", True),
    ],
)
def test_the_mount_determines_the_group_and_a_different_label_is_warned_about(
    label: str | None, group: str, has_warning: bool
) -> None:
    pod = with_phfs(subPath=f"groups/{group}")
    pod["metadata"]["labels"] = {} if label is None else {"primehub.io/group": label}
    injection = inject(pod, SETTINGS, NEW)
    assert env_of(injection.pod["spec"]["initContainers"][0])["PRIMEHUB_GROUP"] == group
    assert bool(injection.warnings) == has_warning


def test_the_sidecar_is_the_first_init_container() -> None:
    names = [container["name"] for container in injected(primehub_pod())["spec"]["initContainers"]]
    assert names == ["phjob-artifacts", "admission-is-not-found"]


def istio_like(pod: Document) -> Document:
    """Change the pod as a service mesh does: add a native sidecar at the front, a volume and an annotation."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    proxy = {"name": "istio-proxy", "image": "proxy", "restartPolicy": "Always", "volumeMounts": []}
    spec["initContainers"] = [{"name": "istio-init", "image": "proxy"}, proxy, *(spec.get("initContainers") or [])]
    spec["volumes"].insert(0, {"name": "istio-envoy", "emptyDir": {}})
    pod["metadata"].setdefault("annotations", {})["sidecar.istio.io/status"] = "{}"
    return pod


def primehub_like(pod: Document) -> Document:
    """Change the pod as PrimeHub's admission does: remove its poisoned init container by name, and change main."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    containers = spec["initContainers"]
    spec["initContainers"] = [container for container in containers if container["name"] != "admission-is-not-found"]
    spec["containers"][0]["env"].append({"name": "TZ", "value": "UTC"})
    spec["containers"][0]["volumeMounts"].append({"name": "scripts", "mountPath": "/etc/profile.d"})
    return pod


@pytest.mark.parametrize("mutate", [istio_like, primehub_like], ids=["istio", "primehub"])
def test_the_order_of_webhooks_does_not_matter(mutate: Any) -> None:
    before, after = injected(mutate(primehub_pod())), mutate(injected(primehub_pod()))
    after = inject(after, SETTINGS, NEW).pod  # when it is reinvoked
    for pod in (before, after):
        pod["spec"]["volumes"].sort(key=lambda item: item["name"])
        pod["spec"]["containers"][0]["env"].sort(key=lambda item: item["name"])
    assert before == after


def test_all_outcomes_are_documented_and_tested() -> None:
    others = {"opted-out", "paused", "old-kubernetes", "unknown-version", "annotations-full"}
    reached = {*WITH_SIDECAR, *others, *(reason for reason, _ in REASONS)}
    assert reached == set(OUTCOMES)


def test_the_injected_pod_shares_no_objects_with_the_settings() -> None:
    settings = make_settings()
    first = injected(make_pod(), settings)
    first["spec"]["initContainers"][0]["command"].append("--changed")
    assert "--changed" not in json.dumps(injected(make_pod(), settings))

"""Injection: the whole pod, who gets a sidecar and who does not, and that twice is once."""

import copy
import json
from typing import Any

import pytest

from artifacts.settings import SidecarSettings, unknown_settings
from controller.inject.facts import Facts, parse_version
from controller.inject.injection import OUTCOMES, inject
from tests.controller.pods import (
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


def outcome(pod: Document, facts: Facts = NEW, /, **environ: str) -> str:
    return inject(pod, make_settings(**environ), facts).outcome


def test_a_primehub_pod_gets_this_sidecar() -> None:
    assert sidecar(primehub_pod()) == {
        "name": "phjob-artifacts",
        "image": "registry.example/sidecar:1",
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["env", "--block-signal=TERM,USR1", "python3", "-m", "sidecar"],
        "env": [
            {"name": "PHJOB_NAME", "value": "job-1"},
            {"name": "PHJOB_ARTIFACT_GRACE_SECONDS", "value": "120"},
            {"name": "PHJOB_ARTIFACT_HIDDEN_PATHS", "value": ""},
            {"name": "PHJOB_ARTIFACT_LIMIT_FILES", "value": "1000"},
            {"name": "PHJOB_ARTIFACT_LIMIT_SIZE_MB", "value": "100"},
            {"name": "PHJOB_ARTIFACT_METRICS_LISTEN", "value": ":19464"},
            {"name": "PHJOB_ARTIFACT_OVER_LIMIT", "value": "reject"},
            {"name": "PHJOB_ARTIFACT_PATH", "value": "/home/jovyan/artifacts"},
            {"name": "PHJOB_ARTIFACT_PHFS", "value": "/phfs"},
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


def test_nothing_else_of_the_pod_changes() -> None:
    before = primehub_pod()
    after = injected(before)
    assert after["spec"]["initContainers"].pop(0)["name"] == "phjob-artifacts"
    assert after["spec"]["volumes"].pop() == {"name": "phjob-artifacts-no-token", "emptyDir": {}}
    assert after["spec"].pop("terminationGracePeriodSeconds") == 120
    assert after["metadata"]["annotations"].pop(OUTCOME) == "injected"
    assert after["metadata"]["annotations"].pop("primehub.io/artifact-original-grace-seconds") == "30"
    switched = after["spec"]["containers"][0]["env"][1]
    assert switched == {"name": "PHJOB_ARTIFACT_ENABLED", "value": "false"}
    switched["value"] = "true"
    assert after == before


def test_the_pod_that_is_given_stays_as_it_is() -> None:
    pod = primehub_pod()
    given = copy.deepcopy(pod)
    inject(pod, SETTINGS, NEW)
    assert pod == given


def test_the_sidecar_understands_all_that_it_is_told() -> None:
    environ = env_of(sidecar(primehub_pod(), make_settings(PHJOB_ARTIFACT_SYNC_SECONDS="5")))
    settings = SidecarSettings.from_env(environ)
    assert unknown_settings(environ) == []
    assert (settings.job, settings.group, settings.sync_seconds) == ("job-1", "phusers", 5.0)
    assert settings.volumes == ("/dev/shm", "/home/jovyan", "/mnt/dataset-mnist", "/phfs", "/project/phusers")


def test_injecting_twice_is_injecting_once() -> None:
    once = injected(primehub_pod())
    twice = inject(once, SETTINGS, NEW)
    assert (twice.pod, twice.outcome, twice.warnings) == (once, "already-injected", [])


def test_a_copied_annotation_alone_keeps_nobody_from_a_sidecar() -> None:
    assert outcome(make_pod(annotations={OUTCOME: "injected"})) == "injected"


def test_a_reason_that_no_longer_holds_is_replaced() -> None:
    assert injected(make_pod(annotations={OUTCOME: "no-phfs"}))["metadata"]["annotations"][OUTCOME] == "injected"


def without(field: str, name: str) -> Document:
    pod = make_pod()
    main = pod["spec"]["containers"][0]
    main[field] = [each for each in main[field] if each["name"] != name]
    return pod


def with_phfs(**changes: Any) -> Document:
    pod = without("volumeMounts", "phfs")
    pod["spec"]["containers"][0]["volumeMounts"].append({**PHFS_MOUNT, **changes})
    return pod


def with_volume(name: str, **source: Any) -> Document:
    pod = make_pod()
    pod["spec"]["volumes"] = [{"name": name, **source} if each["name"] == name else each for each in VOLUMES]
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
    ("name-taken", make_pod(initContainers=[{"name": "phjob-artifacts", "image": "mine"}])),
    ("name-taken", make_pod(volumes=[{"name": "phjob-artifacts-no-token", "secret": {"secretName": "s"}}])),
]


@pytest.mark.parametrize(("reason", "pod"), REASONS, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REASONS)])
def test_a_pod_that_cannot_be_collected_from_is_told_why_and_stays(reason: str, pod: Document) -> None:
    found = inject(pod, SETTINGS, NEW)
    assert found.outcome == reason
    assert found.pod["metadata"]["annotations"].pop(OUTCOME) == reason
    if not pod["metadata"].get("annotations"):
        del found.pod["metadata"]["annotations"]
    assert found.pod == pod
    assert [OUTCOMES[reason] in warning for warning in found.warnings] == [True]


@pytest.mark.parametrize(("reason", "pod"), REASONS, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REASONS)])
def test_a_reason_is_told_once(reason: str, pod: Document) -> None:
    told = inject(pod, SETTINGS, NEW).pod
    assert inject(told, SETTINGS, NEW).pod == told


@pytest.mark.parametrize("version", [None, (1, 28), (1, 9), (0, 99)])
def test_an_older_or_unknown_kubernetes_gets_no_sidecar(version: tuple[int, int] | None) -> None:
    assert outcome(make_pod(), Facts(version)) == "old-kubernetes"


@pytest.mark.parametrize("version", [(1, 29), (1, 34), (2, 0)])
def test_a_newer_kubernetes_does(version: tuple[int, int]) -> None:
    assert outcome(make_pod(), Facts(version)) == "injected"


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
def test_versions_are_read_as_providers_write_them(document: Document, version: tuple[int, int] | None) -> None:
    assert parse_version(document) == version


def test_a_pod_that_opts_out_stays_as_it_is_without_a_word() -> None:
    pod = make_pod(annotations={"primehub.io/artifact-enabled": "false"})
    found = inject(pod, SETTINGS, Facts(None))
    assert (found.pod, found.outcome, found.warnings) == (pod, "opted-out", [])


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
def test_the_pods_word_goes_before_mains_and_mains_before_the_default(
    annotation: str | None, variable: str | None, default: str, expected: str
) -> None:
    env = [{"name": ENABLED, "value": variable}] if variable else []
    annotations = {"primehub.io/artifact-enabled": annotation} if annotation else {}
    assert outcome(make_pod(main={"env": env}, annotations=annotations), **{ENABLED: default}) == expected


@pytest.mark.parametrize(
    "env",
    [
        None,
        [],
        [{"name": ENABLED, "value": "true"}],
        [{"name": ENABLED, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
        [{"name": ENABLED, "value": "true"}, {"name": "A", "value": "b"}, {"name": ENABLED, "value": "true"}],
    ],
)
def test_primehubs_wrapper_in_main_is_told_not_to_copy(env: list[Document] | None) -> None:
    main = injected(make_pod(main={"env": env, "envFrom": [{"configMapRef": {"name": "c"}}]}))["spec"]["containers"][0]
    told = [each for each in main["env"] if each["name"] == ENABLED]
    assert told
    assert all(each == {"name": ENABLED, "value": "false"} for each in told)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, 120), (30, 120), (0, 120), (119, 120), (120, 120), (121, 121), (86400 * 3, 86400 * 3)],
)
def test_the_grace_period_is_raised_and_never_lowered(given: int | None, expected: int) -> None:
    pod = make_pod() if given is None else make_pod(terminationGracePeriodSeconds=given)
    after = injected(pod)
    original = after["metadata"]["annotations"]["primehub.io/artifact-original-grace-seconds"]
    told = env_of(after["spec"]["initContainers"][0])["PHJOB_ARTIFACT_GRACE_SECONDS"]
    assert after["spec"]["terminationGracePeriodSeconds"] == expected
    assert original == str(30 if given is None else given)
    assert told == str(min(expected, 86400))


def test_an_original_grace_period_that_the_pod_made_up_is_overwritten() -> None:
    name = "primehub.io/artifact-original-grace-seconds"
    assert injected(make_pod(annotations={name: "999999"}))["metadata"]["annotations"][name] == "30"


def test_a_pod_without_a_name_yet_is_told_it_by_the_kubelet() -> None:
    pod = make_pod()
    pod["metadata"] = {"generateName": "job-", "labels": {}}
    assert sidecar(pod)["env"][0] == {
        "name": "PHJOB_NAME",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
    }


@pytest.mark.parametrize("field", ["shareProcessNamespace", "hostPID"])
def test_where_processes_are_shared_the_kick_looks_for_its_own(field: str) -> None:
    shared: Document = {field: True}
    (_, _, kick) = sidecar(make_pod(**shared))["lifecycle"]["preStop"]["exec"]["command"]
    assert "kill -USR1 1" not in kick
    assert "/proc/self/ns/mnt" in kick


def test_on_the_nodes_network_no_port_is_taken() -> None:
    container = sidecar(make_pod(hostNetwork=True))
    assert "ports" not in container
    assert env_of(container)["PHJOB_ARTIFACT_METRICS_LISTEN"] == ""


def test_the_port_is_the_one_that_metrics_are_served_on() -> None:
    container = sidecar(make_pod(), make_settings(PHJOB_ARTIFACT_METRICS_LISTEN="127.0.0.1:9999"))
    assert container["ports"][0]["containerPort"] == 9999
    assert "ports" not in sidecar(make_pod(), make_settings(PHJOB_ARTIFACT_METRICS_LISTEN=""))


@pytest.mark.parametrize(
    ("label", "group", "warned"),
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
def test_the_mount_names_the_group_and_a_label_that_says_another_is_told(
    label: str | None, group: str, warned: bool
) -> None:
    pod = with_phfs(subPath=f"groups/{group}")
    pod["metadata"]["labels"] = {} if label is None else {"primehub.io/group": label}
    found = inject(pod, SETTINGS, NEW)
    assert env_of(found.pod["spec"]["initContainers"][0])["PRIMEHUB_GROUP"] == group
    assert bool(found.warnings) == warned


def test_the_sidecar_comes_first() -> None:
    names = [each["name"] for each in injected(primehub_pod())["spec"]["initContainers"]]
    assert names == ["phjob-artifacts", "admission-is-not-found"]


def istio_like(pod: Document) -> Document:
    """A mesh: a native sidecar of its own at the front, a volume, its own annotation, and probes through it."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    proxy = {"name": "istio-proxy", "image": "proxy", "restartPolicy": "Always", "volumeMounts": []}
    spec["initContainers"] = [{"name": "istio-init", "image": "proxy"}, proxy, *(spec.get("initContainers") or [])]
    spec["volumes"].insert(0, {"name": "istio-envoy", "emptyDir": {}})
    pod["metadata"].setdefault("annotations", {})["sidecar.istio.io/status"] = "{}"
    return pod


def primehub_like(pod: Document) -> Document:
    """PrimeHub's admission: takes its poisoned init container away, by name, and changes main's resources."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    spec["initContainers"] = [each for each in spec["initContainers"] if each["name"] != "admission-is-not-found"]
    spec["containers"][0]["env"].append({"name": "TZ", "value": "UTC"})
    spec["containers"][0]["volumeMounts"].append({"name": "scripts", "mountPath": "/etc/profile.d"})
    return pod


@pytest.mark.parametrize("mutate", [istio_like, primehub_like], ids=["istio", "primehub"])
def test_the_order_of_webhooks_does_not_matter(mutate: Any) -> None:
    before, after = injected(mutate(primehub_pod())), mutate(injected(primehub_pod()))
    assert inject(after, SETTINGS, NEW).outcome == "already-injected"  # reinvoked
    for pod in (before, after):
        pod["spec"]["initContainers"].sort(key=lambda each: each["name"])
        pod["spec"]["volumes"].sort(key=lambda each: each["name"])
    assert before == after


def test_every_outcome_of_a_pod_is_in_the_table_and_reached() -> None:
    reached = {"injected", "already-injected", "opted-out", "old-kubernetes", *(reason for reason, _ in REASONS)}
    assert reached == set(OUTCOMES)


def test_the_pod_that_comes_out_shares_nothing_with_the_settings() -> None:
    settings = make_settings()
    first = injected(make_pod(), settings)
    first["spec"]["initContainers"][0]["command"].append("--changed")
    assert "--changed" not in json.dumps(injected(make_pod(), settings))

"""Pods for tests of injection: as PrimeHub's controller and ours create them, and strategies that generate pods."""

import copy
from collections.abc import Mapping
from typing import Any

import jsonpatch
from hypothesis import strategies as st

from controller.inject.cluster_version import ClusterVersion
from controller.inject.injection import Injection, inject
from controller.patch import make_patch
from controller.settings import WebhookSettings

Document = dict[str, Any]

NEW = ClusterVersion((1, 34))
IMAGE = "registry.example/sidecar:1"
HOME_MOUNT = {"name": "workingdir", "mountPath": "/home/jovyan"}
PHFS_MOUNT = {"name": "phfs", "mountPath": "/phfs", "subPath": "groups/phusers"}
VOLUMES = [
    {"name": "workingdir", "emptyDir": {"sizeLimit": "5Gi"}},
    {"name": "phfs", "persistentVolumeClaim": {"claimName": "phfs"}},
]


def make_settings(**environ: str) -> WebhookSettings:
    return WebhookSettings.from_env({"PHJOB_SIDECAR_IMAGE": IMAGE} | environ)


SETTINGS = make_settings()


def make_pod(
    mounts: list[Document] | None = None,
    volumes: list[Document] | None = None,
    main: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Document:
    """Return a minimal pod that gets a sidecar, with the given additions."""
    metadata: Document = {"name": "job-1", "labels": {"app": "primehub-job", "primehub.io/group": "escaped-phusers"}}
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    container = {
        "name": "main",
        "image": "busybox",
        "volumeMounts": [HOME_MOUNT, PHFS_MOUNT, *(mounts or [])],
    } | dict(main or {})
    return copy.deepcopy(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [*VOLUMES, *(volumes or [])]}
            | spec,
        }
    )


def primehub_pod() -> Document:
    """Return a pod as PrimeHub's controller creates it, before PrimeHub's own webhook."""
    pod = make_pod(
        mounts=[
            {"name": "project-phusers", "mountPath": "/project/phusers"},
            {"name": "dataset-mnist", "mountPath": "/mnt/dataset-mnist", "readOnly": True},
            {"name": "dshm", "mountPath": "/dev/shm"},
            {"name": "scripts", "mountPath": "/scripts"},
        ],
        volumes=[
            {"name": "project-phusers", "persistentVolumeClaim": {"claimName": "project-phusers"}},
            {"name": "dataset-mnist", "persistentVolumeClaim": {"claimName": "dataset-mnist", "readOnly": True}},
            {"name": "dshm", "emptyDir": {"medium": "Memory"}},
            {"name": "scripts", "configMap": {"name": "phjob-scripts", "defaultMode": 0o777}},
        ],
        main={
            "command": ["/scripts/run-job.sh", "sleep 1\npython train.py"],
            "workingDir": "/home/jovyan",
            "env": [
                {"name": "PHJOB_NAME", "value": "job-1"},
                {"name": "PHJOB_ARTIFACT_ENABLED", "value": "true"},
                {"name": "PHJOB_ARTIFACT_LIMIT_SIZE_MB", "value": "100"},
                {"name": "PHJOB_ARTIFACT_LIMIT_FILES", "value": "1000"},
                {"name": "PHJOB_ARTIFACT_RETENTION_SECONDS", "value": "604800"},
                {"name": "GRANT_SUDO", "value": "yes"},
                {"name": "PRIMEHUB_GROUP", "value": "phusers"},
            ],
            "resources": {
                "requests": {"cpu": "1", "memory": "1Gi"},
                "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"},
            },
        },
        annotations={"primehub.io/usage": '{"component": "job"}'},
        securityContext={"runAsUser": 0},
    )
    pod["spec"]["initContainers"] = [
        {
            "name": "admission-is-not-found",
            "image": "admission-is-not-found",
            "imagePullPolicy": "Never",
            "command": ["false"],
        }
    ]
    return pod


def injected(pod: Document, settings: WebhookSettings = SETTINGS) -> Document:
    """Return the pod with its sidecar."""
    injection = inject(pod, settings, NEW)
    assert injection.outcome in ("injected", "repaired"), injection.outcome
    return injection.pod


def sidecar(pod: Document, settings: WebhookSettings = SETTINGS) -> Document:
    """Return the sidecar that a pod gets."""
    return sidecar_in(injected(pod, settings))


def sidecar_in(pod: Document) -> Document:
    containers = pod["spec"]["initContainers"]
    (container,) = [container for container in containers if container["name"] == "phjob-artifacts"]
    return dict(container)


def env_of(container: Document) -> dict[str, str]:
    """Return the variables with a plain value, unescaped as the kubelet does: `$$` is a dollar."""
    env = container["env"]
    return {variable["name"]: variable["value"].replace("$$", "$") for variable in env if "value" in variable}


def patched(pod: Document, settings: WebhookSettings = SETTINGS) -> tuple[Document, Injection]:
    """Return the pod after the webhook's patch, applied by another implementation of RFC 6902."""
    injection = inject(pod, settings, NEW)
    result: Document = jsonpatch.apply_patch(pod, list(make_patch(pod, injection.pod)))
    return result, injection


# Strategies: mostly realistic pods, with unusual values in every field that injection reads.
PATHS = st.sampled_from(
    [
        *("/home/jovyan", "/home/jovyan/", "/home", "/home/jovyan/data", "/home/jovyan/artifacts", "home/jovyan/sub"),
        *("/phfs", "/phfs/", "/phfs/x", "/", "/data", "/data/out", "/data/out/../deep", "/database", "//twice//x"),
        *("/a:b", "/home/jovyan/a:b", "/var/run/secrets/kubernetes.io/serviceaccount", "/dev/shm", "/job", "/job/phfs"),
    ]
)
SOURCES: list[Document] = [
    {"emptyDir": {}},
    {"emptyDir": {"medium": "Memory"}},
    {"persistentVolumeClaim": {"claimName": "claim"}},
    {"persistentVolumeClaim": {"claimName": "claim", "readOnly": True}},
    {"secret": {"secretName": "s"}},
    {"configMap": {"name": "c"}},
    {"hostPath": {"path": "/"}},
    {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    {"downwardAPI": {"items": []}},
    {"nfs": {"server": "s", "path": "/"}},
    {"csi": {"driver": "d"}},
    {"somethingNew": {"field": 1}},
]
QUANTITIES = st.sampled_from(["0", "10m", "100m", "0.1", "1", "1000m", "32Mi", "1Gi", "1e3", "no quantity"])
NAMES = [f"v{number}" for number in range(6)]


@st.composite
def mounts(draw: st.DrawFn) -> Document:
    mount = {"name": draw(st.sampled_from([*NAMES, "workingdir", "phfs"])), "mountPath": draw(PATHS)}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "readOnly": st.booleans(),
        "subPath": st.sampled_from(["", "sub", "sub/deep", "groups/phusers", "groups/x", "groups/a_b"]),
        "subPathExpr": st.just("$(POD_NAME)"),
        "mountPropagation": st.sampled_from(["None", "HostToContainer", "Bidirectional"]),
        "recursiveReadOnly": st.just("Disabled"),
    }
    return mount | draw(st.fixed_dictionaries({}, optional=optional))


RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        field: st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), QUANTITIES)
        for field in ("requests", "limits")
    },
)
IDENTITIES = st.fixed_dictionaries(
    {},
    optional={
        "runAsUser": st.sampled_from([0, 1000, 2**31 - 1]),
        "runAsGroup": st.sampled_from([0, 100]),
        "runAsNonRoot": st.booleans(),
        "fsGroup": st.just(100),
    },
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(["enabled", "limit-size-mb", "limit-files", "links", "retention-seconds", "include", "exclude"])
    .map("primehub.io/artifact-".__add__)
    .filter(lambda name: name != "primehub.io/artifact-enabled")
    | st.sampled_from(["primehub.io/artifact-grace-seconds", "primehub.io/artifact-odd", "other.example/x~y"]),
    st.text(max_size=20) | st.integers().map(str) | st.sampled_from(["keep", "*.png", "$(PHJOB_NAME)", "a\x00b"]),
    max_size=4,
)
UNKNOWN = st.dictionaries(st.sampled_from(["fieldFromTheFuture", "x/y", "a~b"]), st.integers() | st.none(), max_size=2)


@st.composite
def containers(draw: st.DrawFn, name: str) -> Document:
    return {
        "name": name,
        "image": "busybox",
        "resources": draw(RESOURCES),
        "securityContext": draw(IDENTITIES),
        "volumeMounts": draw(st.lists(mounts(), max_size=4)),
    } | draw(UNKNOWN)


@st.composite
def pods(draw: st.DrawFn) -> Document:
    """Generate pods of which most get a sidecar: main has its working directory and PHFS, and anything else."""
    main = draw(containers("main"))
    main["volumeMounts"] = draw(st.permutations([HOME_MOUNT, PHFS_MOUNT, *main["volumeMounts"]]))
    main["env"] = draw(st.lists(variables(), max_size=4))
    main["command"] = draw(st.sampled_from([None, ["sh"], ["/scripts/run-job.sh", "sleep 1"]]))
    pod = make_pod(annotations=draw(st.none() | ANNOTATIONS))
    spec = pod["spec"]
    spec["containers"] = draw(st.permutations([main, *([draw(containers("other"))] if draw(st.booleans()) else [])]))
    spec["volumes"] += [{"name": name} | draw(st.sampled_from(SOURCES)) for name in NAMES]
    if draw(st.booleans()):
        spec["initContainers"] = draw(st.none() | st.lists(containers("setup"), max_size=1))
    spec |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "securityContext": IDENTITIES,
                "terminationGracePeriodSeconds": st.sampled_from([0, 1, 30, 120, 3600, None]),
                "hostNetwork": st.booleans(),
                "shareProcessNamespace": st.booleans(),
                "resources": st.sampled_from([None, {}, {"limits": {"cpu": "1", "memory": "1Gi"}}]),
            },
        )
    )
    return copy.deepcopy(pod | draw(UNKNOWN))


@st.composite
def variables(draw: st.DrawFn) -> Document:
    name = draw(
        st.sampled_from(
            [
                *("PHJOB_ARTIFACT_ENABLED", "PHJOB_NAME", "PHJOB_ARTIFACT_LIMIT_FILES", "PHJOB_ARTIFACT_INCLUDE"),
                "ARTIFACTS_SRC",
            ]
        )
    )
    if draw(st.booleans()):
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    texts = {"PHJOB_ARTIFACT_ENABLED": st.sampled_from(["true", "yes", ""])}
    return {"name": name, "value": draw(texts.get(name, st.text(max_size=10) | st.sampled_from(["$(HOME)", "7"])))}

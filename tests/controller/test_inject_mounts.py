"""The sidecar's mounts: which of main's volumes it sees, and that it sees no secrets."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.inject.mounts import plan_mounts
from tests.controller.pod_samples import PHFS_MOUNT, SETTINGS, Document, env_of, make_pod, sidecar

CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}


def visible_and_hidden(
    *mounts: Document, volumes: list[Document] | None = None, **spec: Any
) -> tuple[list[str], list[str]]:
    """Return main's paths that the sidecar mounts, and the hidden paths in its environment."""
    container = sidecar(make_pod(list(mounts), volumes, **spec))
    mount_paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    visible = [path for path in mount_paths if path.startswith("/job/")]
    environ = env_of(container)
    assert [f"/job{path}" for path in environ["PHJOB_ARTIFACT_VOLUMES"].split(":")] == visible
    hidden = environ["PHJOB_ARTIFACT_HIDDEN_PATHS"]
    return [path.removeprefix("/job") for path in visible], hidden.split(":") if hidden else []


def mount(path: str, name: str = "data", **more: Any) -> Document:
    return {"name": name, "mountPath": path, **more}


def volume(source: Document, name: str = "data") -> Document:
    return {"name": name, **source}


@pytest.mark.parametrize("source", [CLAIM, {"emptyDir": {}}, {"ephemeral": {"volumeClaimTemplate": {}}}])
def test_data_volumes_are_mounted(source: Document) -> None:
    assert visible_and_hidden(mount("/data"), volumes=[volume(source)]) == (["/data", "/home/jovyan", "/phfs"], [])


@pytest.mark.parametrize(
    "source",
    [
        {"secret": {"secretName": "s"}},
        {"configMap": {"name": "c"}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {"downwardAPI": {"items": []}},
        {"hostPath": {"path": "/"}},
        {"csi": {"driver": "secrets-store.csi.k8s.io"}},
        {"nfs": {"server": "s", "path": "/"}},
        {"image": {"reference": "i"}},
        {"fromTheFuture": {}},
        {"emptyDir": {}, "secret": {"secretName": "s"}},
        {},
    ],
)
def test_other_volumes_are_not_mounted_and_their_paths_in_volumes_are_hidden(source: Document) -> None:
    paths = visible_and_hidden(mount("/data"), mount("/home/jovyan/.token"), volumes=[volume(source)])
    assert paths == (["/home/jovyan", "/phfs"], ["/home/jovyan/.token"])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/home/jovyan/data"], (["/home/jovyan", "/phfs"], ["/home/jovyan/data"])),
        (["/home/jovyan/a/b"], (["/home/jovyan", "/phfs"], ["/home/jovyan/a/b"])),
        (["/data", "/data/x"], (["/data", "/home/jovyan", "/phfs"], ["/data/x"])),
        (["/data/x", "/data"], (["/data", "/home/jovyan", "/phfs"], ["/data/x"])),
        (["/data", "/database"], (["/data", "/database", "/home/jovyan", "/phfs"], [])),
        (["/home"], (["/home/jovyan", "/phfs"], [])),
        (["/"], (["/home/jovyan", "/phfs"], [])),
        (["/phfs/x"], (["/home/jovyan", "/phfs"], ["/phfs/x"])),
        (["/job"], (["/home/jovyan", "/job", "/phfs"], [])),
    ],
)
def test_a_nested_mount_is_left_out_and_hidden(paths: list[str], expected: tuple[list[str], list[str]]) -> None:
    assert visible_and_hidden(*map(mount, paths), volumes=[volume(CLAIM)]) == expected


@pytest.mark.parametrize(
    ("path", "normalized"),
    [("data/", "/data"), ("//data//x/", "/data/x"), ("/data/./x", "/data/x"), ("/data/../x", "/x"), ("/../x", "/x")],
)
def test_paths_are_normalized_as_the_kubelet_does(path: str, normalized: str) -> None:
    assert normalized in visible_and_hidden(mount(path), volumes=[volume(CLAIM)])[0]


def test_the_later_of_two_mounts_at_one_path_is_used() -> None:
    container = sidecar(
        make_pod(
            [mount("/data", "first"), mount("/data/", "second")], [volume(CLAIM, "first"), volume(CLAIM, "second")]
        )
    )
    at_data = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/job/data"]
    assert at_data == [{"name": "second", "mountPath": "/job/data", "readOnly": True}]


@pytest.mark.parametrize(
    ("source", "private"),
    [(CLAIM, ""), ({"emptyDir": {}}, "/home/jovyan"), ({"ephemeral": {"volumeClaimTemplate": {}}}, "/home/jovyan")],
)
def test_the_working_directory_is_private_unless_other_pods_can_use_its_volume(source: Document, private: str) -> None:
    container = sidecar(make_pod([mount("/home/jovyan"), mount("/x", "x")], [volume(source), volume(source, "x")]))
    assert env_of(container)["PHJOB_ARTIFACT_PRIVATE_VOLUMES"] == private


def test_a_path_that_does_not_fit_a_list_is_left_out() -> None:
    assert visible_and_hidden(mount("/a:b"), mount("/home/jovyan/a:b"), mount("/a\nb"), volumes=[volume(CLAIM)]) == (
        ["/home/jovyan", "/phfs"],
        [],
    )


def test_a_sub_path_expression_is_left_out_and_hidden() -> None:
    paths = visible_and_hidden(
        mount("/home/jovyan/data", subPathExpr="$(POD_NAME)"), mount("/x", subPathExpr="$(A)"), volumes=[volume(CLAIM)]
    )
    assert paths == (["/home/jovyan", "/phfs"], ["/home/jovyan/data"])


def test_a_sub_path_is_copied_from_main() -> None:
    container = sidecar(make_pod([mount("/data", subPath="a/b")], [volume(CLAIM)]))
    assert {"name": "data", "mountPath": "/job/data", "subPath": "a/b", "readOnly": True} in container["volumeMounts"]


@pytest.mark.parametrize(
    ("init", "is_visible"),
    [
        ({"subPath": "conf.json"}, True),  # the kubelet creates a folder for it anyway
        ({"subPath": "elsewhere"}, True),
        ({"subPath": "conf"}, True),
        ({"subPath": "conf.json/deeper"}, True),
        ({}, False),
        ({"subPath": ""}, False),
        ({"subPathExpr": "$(A)"}, False),
    ],
)
def test_a_sub_path_that_an_init_container_may_create_is_not_mounted(init: Document, is_visible: bool) -> None:
    """The sidecar starts earlier, and the kubelet would create an empty folder at the subPath."""
    setup = {"name": "setup", "image": "busybox", "volumeMounts": [{"name": "data", "mountPath": "/d", **init}]}
    paths, _ = visible_and_hidden(
        mount("/etc/conf.json", subPath="conf.json"), volumes=[volume({"emptyDir": {}})], initContainers=[setup]
    )
    assert ("/etc/conf.json" in paths) == is_visible


def test_phfs_is_mounted_read_only_and_writable() -> None:
    container = sidecar(make_pod())
    at_phfs = [mount for mount in container["volumeMounts"] if mount["name"] == "phfs"]
    assert at_phfs == [{**PHFS_MOUNT, "mountPath": "/job/phfs", "readOnly": True}, PHFS_MOUNT]


@pytest.mark.parametrize(
    ("propagation", "expected"),
    [("Bidirectional", "HostToContainer"), ("HostToContainer", "HostToContainer"), ("None", None), ("", None)],
)
def test_mount_propagation_is_never_bidirectional(propagation: str, expected: str | None) -> None:
    container = sidecar(make_pod([mount("/data", mountPropagation=propagation)], [volume(CLAIM)]))
    (mounted,) = [mount for mount in container["volumeMounts"] if mount["name"] == "data"]
    assert mounted.get("mountPropagation") == expected


def test_the_token_is_masked() -> None:
    token = {"name": "kube-api-access", "projected": {"sources": []}}
    container = sidecar(make_pod([mount("/var/run/secrets/kubernetes.io/serviceaccount", "kube-api-access")], [token]))
    at_token = [mount for mount in container["volumeMounts"] if "secrets" in mount["mountPath"]]
    assert [mount["name"] for mount in at_token] == ["phjob-artifacts-no-token"]
    assert SETTINGS.image == container["image"]


def steps_of(function: Callable[[], object]) -> int:
    """Return how many bytecodes the function executes, and all that it calls: a measure that the load cannot change."""
    steps = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return steps


def flat(count: int) -> Document:
    return make_pod([mount(f"/data-{number}") for number in range(count)], [volume(CLAIM)])


def nested(count: int) -> Document:
    return make_pod([mount(f"/home/jovyan/{number}/x") for number in range(count)], [volume(CLAIM)])


def with_sub_paths(count: int) -> Document:
    """Return a pod in which main and an init container mount many subPaths of one volume."""
    mounts = [mount(f"/data-{number}", subPath=f"a/b/c{number}") for number in range(count)]
    init = [mount(f"/data-{number}", subPath=f"a/b/d{number}/e") for number in range(count)]
    return make_pod(mounts, [volume(CLAIM)], initContainers=[{"name": "setup", "volumeMounts": init}])


@pytest.mark.parametrize("build", [flat, nested, with_sub_paths])
def test_the_cost_of_a_plan_is_linear_in_the_number_of_mounts(build: Callable[[int], Document]) -> None:
    def plan_steps(count: int) -> int:
        spec = build(count)["spec"]
        return steps_of(lambda: plan_mounts(spec, spec["containers"][0]))

    small, large = plan_steps(100), plan_steps(400)
    assert large < 4.4 * small


@given(st.lists(st.sampled_from(["/a", "/a/b", "/a/b/c", "/ab", "/home", "/phfs/x", "/home/jovyan/d/e"]), max_size=5))
def test_no_visible_path_is_below_another_and_every_covered_path_is_hidden(paths: list[str]) -> None:
    visible, hidden = visible_and_hidden(*map(mount, paths), volumes=[volume(CLAIM)])
    assert not [path for path in visible for other in visible if path.startswith(other + "/")]
    assert {"/home/jovyan", "/phfs"} <= set(visible)
    covered = {path for path in paths if any(path.startswith(other + "/") for other in visible)}
    assert set(hidden) == covered
    assert set(paths) - covered - set(visible) <= {"/home"}  # it contains the working directory

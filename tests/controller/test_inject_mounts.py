"""Mounts: what of main's volumes the sidecar sees, and that nothing secret is among it."""

from typing import Any

import pytest

from tests.controller.pods import PHFS_MOUNT, SETTINGS, Document, env_of, make_pod, sidecar

CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}


def seen(*mounts: Document, volumes: list[Document] | None = None, **spec: Any) -> tuple[list[str], list[str]]:
    """Main's paths below the sidecar's root, and those that it is told it cannot see."""
    found = sidecar(make_pod(list(mounts), volumes, **spec))
    below = [each["mountPath"] for each in found["volumeMounts"] if each["mountPath"].startswith("/job/")]
    environ = env_of(found)
    assert [f"/job{path}" for path in environ["PHJOB_ARTIFACT_VOLUMES"].split(":")] == below
    hidden = environ["PHJOB_ARTIFACT_HIDDEN_PATHS"]
    return [path.removeprefix("/job") for path in below], hidden.split(":") if hidden else []


def mount(path: str, name: str = "data", **more: Any) -> Document:
    return {"name": name, "mountPath": path, **more}


def volume(source: Document, name: str = "data") -> Document:
    return {"name": name, **source}


@pytest.mark.parametrize("source", [CLAIM, {"emptyDir": {}}, {"ephemeral": {"volumeClaimTemplate": {}}}])
def test_volumes_that_main_works_in_are_seen(source: Document) -> None:
    assert seen(mount("/data"), volumes=[volume(source)]) == (["/data", "/home/jovyan", "/phfs"], [])


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
def test_nothing_else_is_mounted_and_what_covers_a_part_of_a_volume_is_told(source: Document) -> None:
    found = seen(mount("/data"), mount("/home/jovyan/.token"), volumes=[volume(source)])
    assert found == (["/home/jovyan", "/phfs"], ["/home/jovyan/.token"])


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
def test_a_mount_within_another_is_left_out_and_told(paths: list[str], expected: tuple[list[str], list[str]]) -> None:
    assert seen(*map(mount, paths), volumes=[volume(CLAIM)]) == expected


@pytest.mark.parametrize(
    ("path", "seen_as"),
    [("data/", "/data"), ("//data//x/", "/data/x"), ("/data/./x", "/data/x"), ("/data/../x", "/x"), ("/../x", "/x")],
)
def test_a_path_is_taken_as_the_kubelet_takes_it(path: str, seen_as: str) -> None:
    assert seen_as in seen(mount(path), volumes=[volume(CLAIM)])[0]


def test_of_two_mounts_at_one_path_the_later_is_mounted() -> None:
    found = sidecar(
        make_pod(
            [mount("/data", "first"), mount("/data/", "second")], [volume(CLAIM, "first"), volume(CLAIM, "second")]
        )
    )
    at_data = [each for each in found["volumeMounts"] if each["mountPath"] == "/job/data"]
    assert at_data == [{"name": "second", "mountPath": "/job/data", "readOnly": True}]


def test_a_path_that_no_list_can_hold_is_left_out() -> None:
    assert seen(mount("/a:b"), mount("/home/jovyan/a:b"), mount("/a\nb"), volumes=[volume(CLAIM)]) == (
        ["/home/jovyan", "/phfs"],
        [],
    )


def test_a_folder_that_a_variable_names_is_left_out_and_told() -> None:
    found = seen(
        mount("/home/jovyan/data", subPathExpr="$(POD_NAME)"), mount("/x", subPathExpr="$(A)"), volumes=[volume(CLAIM)]
    )
    assert found == (["/home/jovyan", "/phfs"], ["/home/jovyan/data"])


def test_a_sub_path_is_mounted_as_it_is_in_main() -> None:
    found = sidecar(make_pod([mount("/data", subPath="a/b")], [volume(CLAIM)]))
    assert {"name": "data", "mountPath": "/job/data", "subPath": "a/b", "readOnly": True} in found["volumeMounts"]


@pytest.mark.parametrize(
    ("init", "is_seen"),
    [
        ({"subPath": "conf.json"}, True),  # the kubelet makes a folder for it anyway
        ({"subPath": "elsewhere"}, True),
        ({"subPath": "conf"}, True),
        ({"subPath": "conf.json/deeper"}, True),
        ({}, False),
        ({"subPath": ""}, False),
        ({"subPathExpr": "$(A)"}, False),
    ],
)
def test_what_an_init_container_may_be_about_to_make_is_not_made_a_folder(init: Document, is_seen: bool) -> None:
    """The sidecar starts before it, and the kubelet would make an empty folder where the subPath leads."""
    setup = {"name": "setup", "image": "busybox", "volumeMounts": [{"name": "data", "mountPath": "/d", **init}]}
    paths, _ = seen(
        mount("/etc/conf.json", subPath="conf.json"), volumes=[volume({"emptyDir": {}})], initContainers=[setup]
    )
    assert ("/etc/conf.json" in paths) == is_seen


def test_phfs_is_mounted_as_main_has_it_and_to_write_to() -> None:
    found = sidecar(make_pod())
    at_phfs = [each for each in found["volumeMounts"] if each["name"] == "phfs"]
    assert at_phfs == [{**PHFS_MOUNT, "mountPath": "/job/phfs", "readOnly": True}, PHFS_MOUNT]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Bidirectional", "HostToContainer"), ("HostToContainer", "HostToContainer"), ("None", None), ("", None)],
)
def test_what_the_node_mounts_later_reaches_the_sidecar_and_never_the_other_way(
    given: str, expected: str | None
) -> None:
    found = sidecar(make_pod([mount("/data", mountPropagation=given)], [volume(CLAIM)]))
    (made,) = [each for each in found["volumeMounts"] if each["name"] == "data"]
    assert made.get("mountPropagation") == expected


def test_the_token_is_masked() -> None:
    token = {"name": "kube-api-access", "projected": {"sources": []}}
    found = sidecar(make_pod([mount("/var/run/secrets/kubernetes.io/serviceaccount", "kube-api-access")], [token]))
    at_token = [each for each in found["volumeMounts"] if "secrets" in each["mountPath"]]
    assert [each["name"] for each in at_token] == ["phjob-artifacts-no-token"]
    assert SETTINGS.image == found["image"]

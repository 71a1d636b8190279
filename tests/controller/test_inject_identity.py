"""The sidecar's user beside different mains, and its privileges."""

from typing import Any

import pytest

from tests.controller.pod_samples import Document, env_of, make_pod, sidecar

FIXED = 65532
ROOT: Document = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}


def context(pod: Document | None = None, main: Document | None = None) -> Document:
    spec: dict[str, Any] = {} if pod is None else {"securityContext": pod}
    return dict(sidecar(make_pod(main={} if main is None else {"securityContext": main}, **spec))["securityContext"])


@pytest.mark.parametrize(
    ("pod", "main", "expected"),
    [
        (None, None, ROOT),
        ({"runAsUser": 0}, None, ROOT),
        (None, {"runAsUser": 0}, ROOT),
        ({"runAsUser": 1000}, {"runAsUser": 0}, ROOT),
        ({"runAsGroup": 100}, None, ROOT | {"runAsGroup": 100}),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, ROOT),
        ({"runAsUser": 1000}, None, {"runAsUser": 1000, "runAsNonRoot": True}),
        (None, {"runAsUser": 1000, "runAsGroup": 100}, {"runAsUser": 1000, "runAsGroup": 100, "runAsNonRoot": True}),
        ({"runAsUser": 0}, {"runAsUser": 1000}, {"runAsUser": 1000, "runAsNonRoot": True}),
        (
            {"runAsUser": 1000, "runAsGroup": 5},
            {"runAsGroup": 0},
            {"runAsUser": 1000, "runAsGroup": 0, "runAsNonRoot": True},
        ),
        ({"runAsNonRoot": True}, None, {"runAsUser": FIXED, "runAsNonRoot": True}),
        (None, {"runAsNonRoot": True}, {"runAsUser": FIXED, "runAsNonRoot": True}),
        ({"runAsNonRoot": True, "runAsUser": 0}, None, {"runAsUser": FIXED, "runAsNonRoot": True}),
    ],
)
def test_the_sidecar_runs_as_mains_user_or_as_root(
    pod: Document | None, main: Document | None, expected: Document
) -> None:
    result = context(pod, main)
    assert {name: value for name, value in result.items() if name.startswith("runAs")} == expected
    added = [] if result["runAsNonRoot"] else ["DAC_OVERRIDE"]
    assert result["capabilities"].get("add", []) == added


DROPS_ALL: Document = {"runAsUser": 0, "capabilities": {"drop": ["all"]}}


@pytest.mark.parametrize(
    ("pod", "main", "expected"),
    [
        (None, None, ("", "")),
        ({"runAsNonRoot": True}, None, ("", "")),
        ({"runAsUser": 0}, None, ("0", "")),
        ({"runAsUser": 1000}, None, ("1000", "")),
        ({"runAsUser": 0}, {"runAsUser": 1000, "runAsGroup": 0}, ("1000", "0")),
        (None, DROPS_ALL, ("", "")),
        (None, {"runAsUser": 0, "capabilities": {"drop": ["CAP_DAC_OVERRIDE"]}}, ("", "")),
        (None, {"runAsUser": 0, "capabilities": {"drop": ["NET_RAW"]}}, ("0", "")),
        (None, {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}}, ("0", "")),
        (None, DROPS_ALL | {"privileged": True}, ("0", "")),
        ({"runAsUser": 1000}, {"capabilities": {"drop": ["ALL"]}}, ("1000", "")),
    ],
)
def test_the_sidecar_gets_mains_ids_if_the_pod_sets_them_and_0_only_if_root_can_read_all_files(
    pod: Document | None, main: Document | None, expected: tuple[str, str]
) -> None:
    spec: dict[str, Any] = {} if pod is None else {"securityContext": pod}
    environ = env_of(sidecar(make_pod(main={} if main is None else {"securityContext": main}, **spec)))
    assert (environ["PHJOB_ARTIFACT_MAIN_UID"], environ["PHJOB_ARTIFACT_MAIN_GID"]) == expected


@pytest.mark.parametrize(
    "main", [None, {"runAsUser": 1000}, {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}]
)
def test_the_sidecar_has_minimal_privileges(main: Document | None) -> None:
    result = context(None, main)
    assert result["allowPrivilegeEscalation"] is False
    assert result["privileged"] is False
    assert result["readOnlyRootFilesystem"] is True
    assert result["seccompProfile"] == {"type": "RuntimeDefault"}
    assert result["capabilities"]["drop"] == ["ALL"]

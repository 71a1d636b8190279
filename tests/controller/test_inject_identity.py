"""Identity: who the sidecar runs as beside each main, and which Pod Security level it meets."""

from typing import Any

import pytest

from tests.controller.pods import Document, make_pod, sidecar

FIXED = 65532
ROOT: Document = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}


def context(pod: Document | None = None, main: Document | None = None) -> Document:
    given: dict[str, Any] = {} if pod is None else {"securityContext": pod}
    return dict(sidecar(make_pod(main={} if main is None else {"securityContext": main}, **given))["securityContext"])


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
def test_the_sidecar_is_mains_user_or_root_beside_root(
    pod: Document | None, main: Document | None, expected: Document
) -> None:
    found = context(pod, main)
    assert {name: value for name, value in found.items() if name.startswith("runAs")} == expected
    added = [] if found["runAsNonRoot"] else ["DAC_OVERRIDE"]
    assert found["capabilities"].get("add", []) == added


@pytest.mark.parametrize(
    "main", [None, {"runAsUser": 1000}, {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}]
)
def test_it_never_has_more_rights_than_it_needs(main: Document | None) -> None:
    found = context(None, main)
    assert found["allowPrivilegeEscalation"] is False
    assert found["privileged"] is False
    assert found["readOnlyRootFilesystem"] is True
    assert found["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["capabilities"]["drop"] == ["ALL"]

"""The pod of a PhJob: compared completely, rejected for invalid specs, and accepted by injection."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.documents import mapping_field
from controller.inject.injection import inject
from controller.reconcile.names import escape_label
from controller.reconcile.phjob import read_phjob, read_spec
from controller.reconcile.pod_builder import InvalidJobSpec, build_pod
from tests.controller.objects import SETTINGS, job_document
from tests.controller.pod_samples import NEW
from tests.controller.pod_samples import SETTINGS as INJECTION


def build(**spec: Any) -> dict[str, Any]:
    return build_document(job_document(**spec))


def build_document(document: dict[str, Any], no_sidecar_reason: str = "") -> dict[str, Any]:
    return build_pod(read_phjob(document), read_spec(document), SETTINGS, no_sidecar_reason)


def test_the_complete_pod() -> None:
    document = job_document(command='echo "$HOME" $$', instanceType="cpu-1")
    document["metadata"]["annotations"] = {
        "primehub.io/artifact-limit-files": "5",
        "primehub.io/artifact-expired-at": "7",
        "primehub.io/artifact-sidecar": "injected",
        "container.apparmor.security.beta.kubernetes.io/main": "unconfined",
    }
    assert build_document(document) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "job",
            "namespace": "ns",
            "labels": {
                "app": "primehub-job",
                "primehub.io/group": "escaped--54eam-5f-41",
                "primehub.io/user": "escaped-ann",
            },
            "annotations": {
                "primehub.io/artifact-limit-files": "5",
                "primehub.io/usage": '{"component": "job", "instance_type": "cpu-1", "group": "Team_A", "user": "ann"}',
            },
            "ownerReferences": [
                {
                    "apiVersion": "primehub.io/v1alpha1",
                    "kind": "PhJob",
                    "name": "job",
                    "uid": "job-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {
                    "name": "main",
                    "image": "python",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", 'echo "$$HOME" $$$$'],
                    "workingDir": "/home/jovyan",
                    "env": [
                        {"name": "PHJOB_NAME", "value": "job"},
                        {"name": "PRIMEHUB_USER", "value": "ann"},
                        {"name": "PRIMEHUB_GROUP", "value": "Team_A"},
                        {"name": "GROUP_NAME", "value": "Team_A"},
                        {"name": "INSTANCE_TYPE", "value": "cpu-1"},
                        {"name": "IMAGE_NAME", "value": "python"},
                    ],
                    "resources": {},
                    "volumeMounts": [
                        {"name": "workingdir", "mountPath": "/home/jovyan"},
                        {"name": "phfs", "mountPath": "/phfs", "subPath": "groups/team-a"},
                        {"name": "dshm", "mountPath": "/dev/shm"},
                    ],
                }
            ],
            "volumes": [
                {"name": "workingdir", "emptyDir": {"sizeLimit": "5Gi"}},
                {"name": "phfs", "persistentVolumeClaim": {"claimName": "phfs"}},
                {"name": "dshm", "emptyDir": {"medium": "Memory"}},
            ],
        },
    }


@pytest.mark.parametrize("spec", [{"groupName": "../other"}, {"groupName": ""}, {"groupName": "a/b"}, {"image": ""}])
def test_an_invalid_spec_is_rejected(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobSpec, match=r"spec\."):
        build(**spec)


def test_the_pod_is_injected_unless_it_opts_out() -> None:
    assert inject(build(), INJECTION, NEW).outcome == "injected"
    opted_out = build_document(job_document(), "quota")
    assert inject(opted_out, INJECTION, NEW).outcome == "opted-out"


@given(st.text(max_size=80))
def test_escaped_labels_are_valid(value: str) -> None:
    label = escape_label(value)
    assert len(label) <= 63
    assert label.isascii()
    assert label.replace("-", "").isalnum()
    assert label[-1].isalnum()


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["metadata", "spec", "status", "annotations", "phase", "artifact", "name", "groupName"]
                ),
                x,
            )
        ),
    )
)
def test_any_document_can_be_read(document: Any) -> None:
    before = copy.deepcopy(document)
    whole = document if isinstance(document, dict) else {"status": document, "metadata": document, "spec": document}
    read_phjob(whole)
    read_spec(whole)
    assert document == before
    assert mapping_field({"x": document}, "x") in ({}, document)

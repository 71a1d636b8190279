"""Main as it may be: any user, no shell, nothing that may be written to. The pods are nobody's PhJob's."""

import pytest

from tests.e2e.system import System, summary_of

LEAVE = ("import os, pathlib", "os.umask(0o077)", "folder = pathlib.Path('artifacts')", "folder.mkdir()")
WRITE = "\n".join([*LEAVE, "(folder / 'f').write_text('kept')"])
RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTEXTS = {
    "main-root": {},
    "main-first-user": {**RESTRICTED, "runAsUser": 1001, "runAsGroup": 1001},
    "main-second-user": {**RESTRICTED, "runAsUser": 1002, "runAsGroup": 1002},
    "main-read-only": {"readOnlyRootFilesystem": True},
    "main-helpless": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}},
}


@pytest.fixture(scope="module", autouse=True)
def pods(system: System) -> None:
    """All but the second user's, which comes after the first one's."""
    for name in CONTEXTS:
        if name != "main-second-user":
            start(system, name)


def start(system: System, name: str) -> None:
    pod = system.pod(name, "python3", "-c", WRITE)
    pod["spec"]["containers"][0]["securityContext"] = CONTEXTS[name]
    system.create_pod(pod)


@pytest.mark.parametrize("name", [name for name in CONTEXTS if name != "main-second-user"])
def test_files_that_only_main_may_read_are_collected(system: System, name: str) -> None:
    check(system, name)


def test_users_after_each_other_are_collected_and_then_cleaned_up(system: System) -> None:
    system.pod_ended("main-first-user")
    start(system, "main-second-user")
    check(system, "main-second-user")
    for name in CONTEXTS:
        system.pod_ended(name)
        prefix = f"groups/{system.group}/jobArtifacts/{name}"
        assert system.service.download(f"{prefix}/f") == b"kept"
    system.store.expire(*CONTEXTS)
    assert system.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": len(CONTEXTS)}
    assert [system.store.tree(name) for name in CONTEXTS] == [{}] * len(CONTEXTS)


def check(system: System, name: str) -> None:
    pod = system.pod_ended(name)
    assert pod["status"]["phase"] == "Succeeded"
    assert summary_of(pod)["state"] == "sealed"
    assert system.store.files(name) == {"f": "kept"}

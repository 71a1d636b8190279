"""Containers of all kinds as main: any user, no shell, a read-only root. The pods do not belong to PhJobs."""

import os

import pytest

from tests.e2e.system import System, terminated_state, termination_summary
from tests.machine import require

IMPORTS = ("import os, pathlib", "os.umask(0o077)", "folder = pathlib.Path('artifacts')", "folder.mkdir()")
WRITE = "\n".join([*IMPORTS, "(folder / 'f').write_text('kept')"])
# Like images that start as root and switch to the job's user: only that user can read the files, or a capability.
SWITCH = "\n".join([WRITE, "os.chown(folder / 'f', 1000, 1000)", "os.chown(folder, 1000, 1000)"])
RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTEXTS = {
    "main-root": {},
    "main-switches": {},
    "main-first-user": {**RESTRICTED, "runAsUser": 1001, "runAsGroup": 1001},
    "main-second-user": {**RESTRICTED, "runAsUser": 1002, "runAsGroup": 1002},
    "main-read-only": {"readOnlyRootFilesystem": True},
    "main-helpless": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}},
}


@pytest.fixture(scope="module", autouse=True)
def pods(system: System) -> None:
    """Start all pods except that of the second user, which must start after the first user's pod has ended."""
    for name in CONTEXTS:
        if name != "main-second-user":
            start(system, name)


def start(system: System, name: str) -> None:
    """Start the pod with that security context."""
    pod = system.pod(name, "python3", "-c", SWITCH if name == "main-switches" else WRITE)
    pod["spec"]["containers"][0]["securityContext"] = CONTEXTS[name]
    system.create_pod(pod)


@pytest.mark.parametrize("name", [name for name in CONTEXTS if name != "main-second-user"])
def test_files_that_only_main_may_read_are_collected(system: System, name: str) -> None:
    check(system, name)


def test_artifacts_of_different_users_are_collected_and_cleaned_up(system: System) -> None:
    system.wait_pod_ended("main-first-user")
    start(system, "main-second-user")
    check(system, "main-second-user")
    for name in CONTEXTS:
        system.wait_pod_ended(name)
        prefix = f"groups/{system.group}/jobArtifacts/{name}"
        assert system.api.download(f"{prefix}/f") == b"kept"
    system.store.expire(*CONTEXTS)
    assert system.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": len(CONTEXTS)}
    assert [system.store.tree(name) for name in CONTEXTS] == [{}] * len(CONTEXTS)


@pytest.fixture(scope="module")
def bare_image() -> str:
    """An image that contains only one program; see images/bare.c."""
    image = os.environ.get("BARE_IMAGE", "")
    require(image, "BARE_IMAGE, an image without a shell: make e2e-images")
    return image


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (7, "Failed")])
def test_main_without_a_shell_is_collected(system: System, bare_image: str, code: int, phase: str) -> None:
    pod = system.pod(f"main-bare-{code}", "/bare", str(code), "f", "g")
    pod["spec"]["containers"][0]["image"] = bare_image
    pod = system.wait_pod_ended(system.create_pod(pod))
    assert (pod["status"]["phase"], terminated_state(pod, "main")["exitCode"]) == (phase, code)
    assert termination_summary(pod)["state"] == "sealed"
    assert system.store.files(f"main-bare-{code}") == {"f": "kept\n", "g": "kept\n"}


def test_phjob_with_an_image_without_shell_fails_with_a_message(system: System, bare_image: str) -> None:
    status = system.wait_ended(system.create_job("main-no-shell", "true", image=bare_image))
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "empty")
    assert "sh" in status["message"]


def check(system: System, name: str) -> None:
    """Check that the pod's artifacts are collected."""
    pod = system.wait_pod_ended(name)
    assert pod["status"]["phase"] == "Succeeded"
    assert termination_summary(pod)["state"] == "sealed"
    assert system.store.files(name) == {"f": "kept"}

"""Main as it may be: any user, no shell, nothing that may be written to. The pods are nobody's PhJob's."""

import os

import pytest

from tests.e2e.system import System, ended_state, summary_of
from tests.machine import require

LEAVE = ("import os, pathlib", "os.umask(0o077)", "folder = pathlib.Path('artifacts')", "folder.mkdir()")
WRITE = "\n".join([*LEAVE, "(folder / 'f').write_text('kept')"])
# As images do that start as root and become the user of the job: only that one, and a capability, can read this.
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
    """All but the second user's, which comes after the first one's."""
    for name in CONTEXTS:
        if name != "main-second-user":
            start(system, name)


def start(system: System, name: str) -> None:
    pod = system.pod(name, "python3", "-c", SWITCH if name == "main-switches" else WRITE)
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


@pytest.fixture(scope="module")
def bare_image() -> str:
    """The image of a program alone: see images/bare.c."""
    image = os.environ.get("BARE_IMAGE", "")
    require(image, "BARE_IMAGE, an image without a shell: make e2e-images")
    return image


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (7, "Failed")])
def test_a_main_without_a_shell_is_collected(system: System, bare_image: str, code: int, phase: str) -> None:
    pod = system.pod(f"main-bare-{code}", "/bare", str(code), "f", "g")
    pod["spec"]["containers"][0]["image"] = bare_image
    ended = system.pod_ended(system.create_pod(pod))
    assert (ended["status"]["phase"], ended_state(ended, "main")["exitCode"]) == (phase, code)
    assert summary_of(ended)["state"] == "sealed"
    assert system.store.files(f"main-bare-{code}") == {"f": "kept\n", "g": "kept\n"}


def test_a_phjob_that_wants_a_shell_where_there_is_none_fails_and_says_so(system: System, bare_image: str) -> None:
    status = system.ended(system.create_job("main-no-shell", "true", image=bare_image))
    assert (status["phase"], status["artifact"]["state"]) == ("Failed", "empty")
    assert "sh" in status["message"]


def check(system: System, name: str) -> None:
    pod = system.pod_ended(name)
    assert pod["status"]["phase"] == "Succeeded"
    assert summary_of(pod)["state"] == "sealed"
    assert system.store.files(name) == {"f": "kept"}

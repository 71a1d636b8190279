"""The commands in docs/operations.md for finding out why artifacts are missing: they work and print something."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.installation import ROOT
from tests.e2e.kubectl import KUBECTL
from tests.e2e.system import System

WRITE_FILE = "mkdir artifacts; echo kept > artifacts/f"
RUN_UNTIL_SIGTERM = f"trap 'exit 0' TERM; {WRITE_FILE}; sleep 1000 & wait"
PAGE = (ROOT / "docs/operations.md").read_text().partition("## Artifacts are missing")[2]


def commands() -> list[str]:
    """Return the section's commands, from code blocks and from sentences."""
    lines = [line.strip() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    lines += re.findall(r"`(kubectl [^`]*)`", text)
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def hello(system: System) -> str:
    """The name of a job that has ended, after the artifacts of another job were removed."""
    system.wait_ended(system.create_job("page-gone", WRITE_FILE))
    system.wait_pod_ended("page-gone")
    system.store.expire("page-gone")
    assert system.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    name = system.create_job("page-hello", WRITE_FILE)
    system.wait_ended(name)
    return name


@pytest.fixture(scope="module")
def running(system: System) -> Iterator[str]:
    """The name of a running job."""
    name = system.create_job("page-running", RUN_UNTIL_SIGTERM)
    system.wait(lambda: system.store.files(name), "the first copy of page-running")
    # The kubelet may report the pod's address later, and the API server proxies nothing before.
    system.wait(lambda: system.pods()[name]["status"].get("podIP"), "the address of page-running")
    yield name
    system.api.query("mutation($id: ID!) { cancelPhJob(where: {id: $id}) { id } }", id=name)


def run(system: System, job: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a documented command, with the names of the namespace, job and group filled in."""
    path = f"{KUBECTL.parent}:{os.environ['PATH']}"
    words = {"NAMESPACE": system.namespace, "JOB": job, "GROUP": system.group}
    text = re.sub("|".join(rf"\b{word}\b" for word in words), lambda match: words[match[0]], command)
    shell = ["bash", "-o", "pipefail", "-c", text]
    return subprocess.run(shell, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", commands())
def test_documented_command_works(system: System, hello: str, running: str, command: str) -> None:
    process = run(system, running if "while it runs" in command else hello, command)
    assert (process.returncode, process.stderr) == (0, "")
    if "artifact-result" not in command:  # this annotation exists only beside PrimeHub
        assert process.stdout.strip()


def test_first_documented_commands_show_the_result(system: System, hello: str) -> None:
    wide, described, status = (run(system, hello, command).stdout for command in commands()[:3])
    assert "sealed" in wide
    assert "ArtifactsCollected" in described
    assert '"state":"sealed"' in status

"""The page for whoever misses artifacts (docs/operations.md): what people are to type works, and shows something."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.installation import ROOT
from tests.e2e.kubectl import KUBECTL
from tests.e2e.system import System

LEAVE = "mkdir artifacts; echo kept > artifacts/f"
STAY = f"trap 'exit 0' TERM; {LEAVE}; sleep 1000 & wait"
PAGE = (ROOT / "docs/operations.md").read_text().partition("## Artifacts are missing")[2]


def commands() -> list[str]:
    """Each command of the page: those of its blocks, and those within its sentences."""
    found = [line.strip() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    found += re.findall(r"`(kubectl [^`]*)`", text)
    return [each for each in found if each and not each.startswith("#")]


@pytest.fixture(scope="module")
def hello(system: System) -> str:
    """A job that has ended, after another whose artifacts have gone."""
    system.ended(system.create_job("page-gone", LEAVE))
    system.pod_ended("page-gone")
    system.store.expire("page-gone")
    assert system.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    name = system.create_job("page-hello", LEAVE)
    system.ended(name)
    return name


@pytest.fixture(scope="module")
def running(system: System) -> Iterator[str]:
    """A job that runs."""
    name = system.create_job("page-running", STAY)
    system.wait(lambda: system.store.files(name), "the first copy of page-running")
    yield name
    system.service.ask("mutation($id: ID!) { cancelPhJob(where: {id: $id}) { id } }", id=name)


def run(system: System, job: str, command: str) -> subprocess.CompletedProcess[str]:
    path = f"{KUBECTL.parent}:{os.environ['PATH']}"
    words = {"NAMESPACE": system.namespace, "JOB": job, "GROUP": system.group}
    text = re.sub("|".join(rf"\b{word}\b" for word in words), lambda found: words[found[0]], command)
    shell = ["bash", "-o", "pipefail", "-c", text]
    return subprocess.run(shell, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_works(system: System, hello: str, running: str, command: str) -> None:
    done = run(system, running if "while it runs" in command else hello, command)
    assert (done.returncode, done.stderr) == (0, "")
    if "artifact-result" not in command:  # which there is beside PrimeHub alone
        assert done.stdout.strip()


def test_the_first_of_them_say_what_became_of_the_artifacts(system: System, hello: str) -> None:
    wide, described, status = (run(system, hello, command).stdout for command in commands()[:3])
    assert "sealed" in wide
    assert "ArtifactsCollected" in described
    assert '"state":"sealed"' in status

"""Both Dockerfiles keep what their images promise: nothing in them that is not needed, nothing that was not checked."""

import re
from pathlib import Path

import pytest

from controller.inject.container import _COMMAND as INJECTED_COMMAND

ROOT = Path(__file__).parent.parent
FILES = ["Dockerfile.sidecar", "Dockerfile.api"]
PARTS = {
    "Dockerfile.sidecar": {"artifacts", "sidecar", "requirements/sidecar.txt"},
    "Dockerfile.api": {"artifacts", "kube", "controller", "api", "requirements/api.txt", "requirements/controller.txt"},
}


def instructions(name: str) -> list[tuple[str, str]]:
    """Each instruction and what follows it, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]


def stages(name: str) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions(name):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_copied_but_its_own_parts_and_locks(name: str) -> None:
    build, final = stages(name)
    copied = {source for word, rest in build if word in ("COPY", "ADD") for source in rest.split()[:-1]}
    assert copied == PARTS[name]
    assert [rest for word, rest in final if word in ("COPY", "ADD")] == ["--from=build /opt/phjob /opt/phjob"]


@pytest.mark.parametrize("name", FILES)
def test_what_is_installed_is_locked_by_hash(name: str) -> None:
    installs = [rest for _, rest in instructions(name) if "pip install" in rest]
    assert installs
    for each in installs:
        assert "--require-hashes" in each
        assert len(re.findall(r"--requirement \S+", each)) == len(re.findall(r"requirements/", str(instructions(name))))


@pytest.mark.parametrize("name", FILES)
def test_it_runs_as_nobody_in_particular_on_the_base_that_is_given(name: str) -> None:
    assert [rest for word, rest in instructions(name) if word == "FROM"] == ["${BASE} AS build", "${BASE}"]
    _, final = stages(name)
    (user,) = [rest for word, rest in final if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [word for word, _ in final if word not in ("ENTRYPOINT", "CMD")][-1] == "USER"


def parents(lock: str) -> dict[str, set[str]]:
    """Of each package in requirements/, those that want it: pip-compile says so below it."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / lock).read_text().splitlines():
        if locked := re.match(r"([a-z0-9.-]+)==", line):
            of_this = found.setdefault(locked[1], set())
        elif wanting := re.match(r" +#(?: via)? +([a-z0-9.-]+)(?: \(|$)", line):
            of_this.add(wanting[1])
    return found


def test_what_the_api_image_leaves_out_is_what_reads_kubeconfig_and_what_it_alone_needs() -> None:
    wanted_by = parents("requirements/api.txt")
    for package, names in parents("requirements/controller.txt").items():
        wanted_by.setdefault(package, set()).update(names)
    needed = {"phjob-artifacts"}
    while more := {each for each, by in wanted_by.items() if by & needed} - needed - {"kubernetes"}:
        needed |= more
    [removed] = [rest for _, rest in instructions("Dockerfile.api") if "rm -rf" in rest]
    patterns = re.sub(r"\[(.).\]", r"\1", removed.partition("rm -rf ")[2]).lower().replace("_", "-").split()
    left_out = {each.removesuffix("*").removesuffix("-") for each in patterns}
    modules = {"bin", "attr", "-yaml", "yaml", "websocket"}  # of attrs, PyYAML and websocket-client
    assert left_out - modules == wanted_by.keys() - needed


def test_the_sidecar_is_started_as_the_injection_starts_it() -> None:
    (entry,) = [rest for word, rest in instructions("Dockerfile.sidecar") if word == "ENTRYPOINT"]
    assert re.findall(r'"([^"]*)"', entry) == INJECTED_COMMAND


def test_the_builder_is_sent_nothing_but_what_is_copied() -> None:
    first, *others = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    sent = {each[1:] for each in others if each.startswith("!")}
    assert sent == {source.partition("/")[0] for parts in PARTS.values() for source in parts}

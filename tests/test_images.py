"""The images contain only what they need, installed from locks, and nothing of the installed packages is removed."""

import re
from pathlib import Path

import pytest

from controller.inject.container import COMMAND as INJECTED_COMMAND

ROOT = Path(__file__).parent.parent
FILES = ["Dockerfile.sidecar", "Dockerfile.api"]
SOURCES = {
    "Dockerfile.sidecar": {"artifacts", "sidecar", "requirements/sidecar.txt"},
    "Dockerfile.api": {"artifacts", "kube", "controller", "api", "requirements/api.txt", "requirements/controller.txt"},
}


def instructions(name: str) -> list[tuple[str, str]]:
    """Return each instruction of a Dockerfile and its arguments, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]


def stages(name: str) -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, beginning with its FROM."""
    result: list[list[tuple[str, str]]] = []
    for word, rest in instructions(name):
        if word == "FROM":
            result.append([])
        if result:
            result[-1].append((word, rest))
    return result


@pytest.mark.parametrize("name", FILES)
def test_only_the_images_own_parts_and_locks_are_copied(name: str) -> None:
    build, final = stages(name)
    copied = {source for word, rest in build if word in ("COPY", "ADD") for source in rest.split()[:-1]}
    assert copied == SOURCES[name]
    assert [rest for word, rest in final if word in ("COPY", "ADD")] == ["--from=build /opt/phjob /opt/phjob"]


@pytest.mark.parametrize("name", FILES)
def test_packages_are_locked_by_hash(name: str) -> None:
    installs = [rest for _, rest in instructions(name) if "pip install" in rest]
    assert installs
    for install in installs:
        assert "--require-hashes" in install
        locks = len(re.findall(r"requirements/", str(instructions(name))))
        assert len(re.findall(r"--requirement \S+", install)) == locks


def test_nothing_is_removed_from_the_packages_of_the_api_image() -> None:
    assert [rest for word, rest in instructions("Dockerfile.api") if word == "RUN" and re.search(r"\brm\b", rest)] == []


@pytest.mark.parametrize("name", FILES)
def test_image_runs_as_an_unprivileged_user_on_the_given_base(name: str) -> None:
    assert [rest for word, rest in instructions(name) if word == "FROM"] == ["${BASE} AS build", "${BASE}"]
    _, final = stages(name)
    (user,) = [rest for word, rest in final if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [word for word, _ in final if word not in ("ENTRYPOINT", "CMD")][-1] == "USER"


def test_sidecar_is_started_with_the_injected_command() -> None:
    (entry,) = [rest for word, rest in instructions("Dockerfile.sidecar") if word == "ENTRYPOINT"]
    assert re.findall(r'"([^"]*)"', entry) == INJECTED_COMMAND


def test_build_context_contains_only_what_is_copied() -> None:
    first, *others = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    sent = {other[1:] for other in others if other.startswith("!")}
    assert sent == {source.partition("/")[0] for sources in SOURCES.values() for source in sources}

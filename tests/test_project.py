"""The promises of the scaffolding: make, the locks, the parts' imports, what conftest and machine guard."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
PARTS = ["artifacts", "sidecar", "controller", "api", "kube", "local"]


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _pins(lock: Path) -> dict[str, str]:
    return dict(PINNED.findall(lock.read_text()))


def _wanted(extra: str) -> list[Requirement]:
    """The extra's dependencies, those of the extras it names included."""
    wanted = []
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == PROJECT["project"]["name"]:
            wanted += [each for inner in requirement.extras for each in _wanted(inner)]
        else:
            wanted.append(requirement)
    return wanted


def _imported(part: str) -> set[str]:
    """The top-level modules that any file of the part imports, wherever in the file."""
    found = set()
    for file in (ROOT / part).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    return found


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == _make_targets()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_in_the_docs_is_a_target(page: str) -> None:
    code = re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(), re.DOTALL)
    commands = {target for part in code for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", part)}
    assert commands, f"{page} names no make command"
    assert commands <= _make_targets()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_packages_by_name_and_hash_alone(lock: Path) -> None:
    text = lock.read_text()
    assert not re.findall(r"^.*(?:://|file:|(?:^|\s)--(?!hash=)| @ |(?:^|\s)/).*$", text, re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if not re.match(PINNED, entry) or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_has_a_lock_that_meets_it(extra: str) -> None:
    pins = _pins(ROOT / "requirements" / f"{extra}.txt")
    unmet = [
        str(wanted)
        for wanted in _wanted(extra)
        if (name := canonicalize_name(wanted.name)) not in pins or not wanted.specifier.contains(pins[name])
    ]
    assert unmet == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_all_locks_agree_on_versions(lock: Path) -> None:
    assert _pins(lock).items() <= _pins(ROOT / "requirements/dev.txt").items()


def test_every_part_is_held_by_the_import_contracts() -> None:
    present = [part for part in PARTS if (ROOT / part / "__init__.py").exists()]
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == sorted(present)


def test_the_contract_imports_the_standard_library_alone() -> None:
    assert _imported("artifacts") - sys.stdlib_module_names <= {"artifacts"}


def test_the_sidecar_imports_its_own_extra_alone() -> None:
    own = {wanted.name.replace("-", "_") for wanted in _wanted("sidecar")}
    assert _imported("sidecar") - sys.stdlib_module_names <= own | {"artifacts", "sidecar"}


def _run_tests(folder: Path, tests: str, *options: str, **environ: str) -> str:
    """Run a file of tests with this project's settings, conftest and machine; return what pytest printed."""
    folder = folder / "tests"
    folder.mkdir()
    for name in ("pyproject.toml", "tests/conftest.py", "tests/machine.py"):
        (folder.parent / name).write_bytes((ROOT / name).read_bytes())
    (folder / "test_it.py").write_text(dedent(tests))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder.parent,
        env={name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(ROOT)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=50,
    )
    return done.stdout


def test_a_test_that_leaves_a_thread_or_a_descriptor_fails(tmp_path: Path) -> None:
    said = _run_tests(
        tmp_path,
        """
        import os, threading, time
        def test_descriptor(): os.open("/dev/null", os.O_RDONLY)
        def test_thread(): threading.Thread(target=time.sleep, args=[2], name="long").start()
        def test_short_thread(): threading.Thread(target=time.sleep, args=[0.1], name="short").start()
        """,
    )
    left = re.findall(r"^left behind: ([^\d\n]+)\d*(.*)$", said, re.MULTILINE)
    assert left == [("descriptor ", " -> /dev/null"), ("thread 'long'", "")]
    assert "3 passed, 2 errors" in said


def test_a_test_sees_no_setting_of_the_shell(tmp_path: Path) -> None:
    test = """
        import os
        def test_environment(): assert not {"PHJOB_NAME", "PRIMEHUB_GROUP"} & os.environ.keys()
        """
    assert "1 passed" in _run_tests(tmp_path, test, PHJOB_NAME="job-1", PRIMEHUB_GROUP="phusers")


@pytest.mark.parametrize(("environ", "outcome"), [({}, "1 passed, 1 skipped"), ({"CI": "true"}, "1 failed, 1 passed")])
def test_what_the_machine_lacks_is_a_skip_here_and_a_failure_in_ci(
    tmp_path: Path, environ: dict[str, str], outcome: str
) -> None:
    test = """
        from tests.machine import require
        def test_there(): require(True, "air")
        def test_lacking(): require(False, "unobtainium")
        """
    said = _run_tests(tmp_path, test, **environ)
    assert outcome in said
    assert "unobtainium" in said


def test_a_property_test_that_hangs_ends_its_run_and_is_named(tmp_path: Path) -> None:
    test = """
        import threading
        from hypothesis import given, strategies as st
        @given(st.integers())
        def test_hanging(number): threading.Event().wait()
        """
    output = _run_tests(tmp_path, test, "-n", "1", "-o", "timeout=1", "-o", "faulthandler_timeout=2")
    assert "Timeout (0:00:02)!" in output
    assert "crashed while running 'tests/test_it.py::test_hanging'" in output

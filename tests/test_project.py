"""The project's scaffolding: make targets, locks, imports of the parts, the checks of conftest and machine."""

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


def _requirements(extra: str) -> list[Requirement]:
    """Return the requirements of an extra, including those of the extras that it refers to."""
    result = []
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == PROJECT["project"]["name"]:
            result += [inner for name in requirement.extras for inner in _requirements(name)]
        else:
            result.append(requirement)
    return result


def _imported(part: str) -> set[str]:
    """Return the top-level modules that any file of the part imports, at any level of the file."""
    result = set()
    for file in (ROOT / part).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                result |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                result.add(str(node.module).partition(".")[0])
    return result


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == _make_targets()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_commands_in_the_docs_are_targets(page: str) -> None:
    code = re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(), re.DOTALL)
    commands = {target for part in code for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", part)}
    assert commands, f"{page} names no make command"
    assert commands <= _make_targets()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_name_packages_only_by_name_and_hash(lock: Path) -> None:
    text = lock.read_text()
    assert not re.findall(r"^.*(?:://|file:|(?:^|\s)--(?!hash=)| @ |(?:^|\s)/).*$", text, re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if not re.match(PINNED, entry) or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_has_a_matching_lock(extra: str) -> None:
    pins = _pins(ROOT / "requirements" / f"{extra}.txt")
    unmet = [
        str(requirement)
        for requirement in _requirements(extra)
        if (name := canonicalize_name(requirement.name)) not in pins or not requirement.specifier.contains(pins[name])
    ]
    assert unmet == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_all_locks_agree_on_versions(lock: Path) -> None:
    pins, all_pins = _pins(lock), _pins(ROOT / "requirements/dev.txt")
    if lock.name == "sdk.txt":  # of an environment of its own
        pins = {name: version for name, version in pins.items() if name in all_pins}
    assert pins.items() <= all_pins.items()


def test_import_contracts_cover_every_part() -> None:
    present = [part for part in PARTS if (ROOT / part / "__init__.py").exists()]
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == sorted(present)


def test_artifacts_imports_only_the_standard_library() -> None:
    assert _imported("artifacts") - sys.stdlib_module_names <= {"artifacts"}


def test_sidecar_imports_only_its_own_extra() -> None:
    own = {requirement.name.replace("-", "_") for requirement in _requirements("sidecar")}
    assert _imported("sidecar") - sys.stdlib_module_names <= own | {"artifacts", "sidecar"}


def _run_tests(folder: Path, tests: str, *options: str, **environ: str) -> str:
    """Run a file of tests with this project's settings, conftest and machine; return what pytest printed.

    Plugins must be listed in `options`, since loading all of them takes longer than the tests.
    """
    folder = folder / "tests"
    folder.mkdir()
    for name in ("pyproject.toml", "tests/conftest.py", "tests/machine.py"):
        (folder.parent / name).write_bytes((ROOT / name).read_bytes())
    (folder / "test_it.py").write_text(dedent(tests))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "pytest_timeout", *options],
        cwd=folder.parent,
        env={name: value for name, value in os.environ.items() if name != "CI"}
        | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=150,
    )
    return done.stdout


def test_tests_that_leak_or_lack_something_fail_and_settings_of_the_shell_are_unset(tmp_path: Path) -> None:
    tests = """
        import os, threading, time
        from tests.machine import require
        def test_descriptor(): os.open("/dev/null", os.O_RDONLY)
        def test_thread(): threading.Thread(target=time.sleep, args=[2], name="long").start()
        def test_short_thread(): threading.Thread(target=time.sleep, args=[0.1], name="short").start()
        def test_environment(): assert not {"PHJOB_NAME", "PRIMEHUB_GROUP"} & os.environ.keys()
        def test_there(): require(True, "air")
        def test_lacking(): require(False, "unobtainium")
        """
    output = _run_tests(tmp_path, tests, PHJOB_NAME="job-1", PRIMEHUB_GROUP="phusers")
    leaks = re.findall(r"^leaked: ([^\d\n]+)\d*(.*)$", output, re.MULTILINE)
    assert leaks == [("descriptor ", " -> /dev/null"), ("thread 'long'", "")]
    assert "5 passed, 1 skipped, 2 errors" in output
    assert "unobtainium" in output


def test_an_unmet_requirement_fails_in_ci(tmp_path: Path) -> None:
    tests = """
        from tests.machine import require
        def test_lacking(): require(False, "unobtainium")
        """
    output = _run_tests(tmp_path, tests, CI="true")
    assert "1 failed" in output
    assert "unobtainium" in output


@pytest.mark.timeout(160)
def test_hanging_property_test_ends_its_run_and_is_named(tmp_path: Path) -> None:
    test = """
        import threading
        from hypothesis import given, strategies as st
        @given(st.integers())
        def test_hanging(number): threading.Event().wait()
        """
    limits = ("-o", "timeout=0.5", "-o", "faulthandler_timeout=1")
    output = _run_tests(tmp_path, test, "-p", "xdist", "-n", "1", *limits)
    assert "Timeout (0:00:01)!" in output
    assert "crashed while running 'tests/test_it.py::test_hanging'" in output

"""Folders that their owners closed: no store raises OSError, and the error distinguishes the owner from the store."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.store.closed_folders import JOB, PREFIXES
from tests.machine import require
from tests.other_user import UID, run_as_other_user
from tests.storefs import tmpfs

Outcomes = dict[str, str]
LEVELS = {"groups": "groups", "group": "groups/a", "jobs": "groups/a/jobArtifacts", "job": JOB[:-1], "sub": f"{JOB}d"}
MODES = (0o000, 0o300, 0o311, 0o711)
ERRORS = {"ok", "StoreError", "StoreBlocked", "FileMissing"}


def make_store(root: Path) -> None:
    """Create a store in which everything belongs to the other user."""
    (root / JOB / "d").mkdir(parents=True)
    for name in ("f", "d/g"):
        (root / JOB / name).write_text("x")
    for folder in (root, *(root / level for level in LEVELS.values()), root / JOB / "f", root / JOB / "d/g"):
        os.chown(folder, UID, UID)
        folder.chmod(0o755 if folder.is_dir() else 0o644)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcomes]]:
    """Call each method on stores with one closed folder each; other users cannot enter pytest's own folder."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        for level, path in LEVELS.items():
            for mode in MODES:
                make_store(root := base / f"{level} {mode:o}")
                os.chown(root / path, 1000, 1000)
                (root / path).chmod(mode)
        make_store(base / "sticky")
        for path in (JOB, f"{JOB}f", f"{JOB}d", f"{JOB}d/g"):
            os.chown(base / "sticky" / path, 1000, 1000)
        (base / "sticky" / JOB).chmod(0o1777)
        make_store(base / "read-only")
        with read_only(base / "read-only"):
            yield run_as_other_user("tests.api.store.closed_folders", *sorted(base.iterdir()))


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Make a folder a read-only mount."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    subprocess.run(["mount", "--bind", "-o", "ro", path, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_no_method_raises_another_error_than_the_stores(outcomes: dict[str, Outcomes]) -> None:
    assert len(outcomes) == len(LEVELS) * len(MODES) + 2
    other = {(case, call): error for case, calls in outcomes.items() for call, error in calls.items()}
    assert {key: error for key, error in other.items() if error not in ERRORS} == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_folder_closed_by_its_owner_is_blocked_and_a_closed_store_fails(
    outcomes: dict[str, Outcomes], level: str, mode: int
) -> None:
    calls = outcomes[f"{level} {mode:o}"]
    closed = LEVELS[level] + "/"
    error = "StoreError" if level == "groups" else "StoreBlocked"
    assert calls[f"list {closed} False"] == error
    assert calls[f"list readable {closed} True"] == "ok"
    for prefix in PREFIXES:
        if closed.startswith(prefix):
            assert calls[f"list {prefix} True"] == error
        if closed.startswith(prefix) and prefix != closed:
            assert calls[f"list {prefix} False"] == "ok"
    can_enter = mode & 0o001
    assert {calls[f"{call} {JOB}d/g"] for call in ("stat", "read")} == {"ok" if can_enter else "StoreBlocked"}
    assert calls["remove"] == ("ok" if can_enter and level in ("groups", "group") else "StoreBlocked")
    assert (calls["check"], calls["capacity"]) == ("ok", "ok")


def test_a_file_in_a_sticky_folder_of_another_user_is_blocked(outcomes: dict[str, Outcomes]) -> None:
    calls = outcomes["sticky"]
    assert calls[f"read {JOB}f"] == "ok"
    assert {calls[name] for name in (f"delete {JOB}f", f"write {JOB}f", f"delete {JOB}d/g", "remove")} == {
        "StoreBlocked"
    }


def test_a_read_only_store_fails(outcomes: dict[str, Outcomes]) -> None:
    calls = outcomes["read-only"]
    assert calls[f"read {JOB}f"] == "ok"
    assert {calls[name] for name in ("write new", f"write {JOB}f", f"delete {JOB}f", "remove")} == {"StoreError"}

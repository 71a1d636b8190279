"""Folders that their owners closed stop neither the cleanup nor the measurement of others, and are reported."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from artifacts.layout import METADATA
from tests.api.cleanup.environment import DAY, FILES, StoreEnvironment, directory_environment
from tests.other_user import UID, run_as_other_user

OTHER = 1000
BLOCKED = [
    "groups/a/jobArtifacts/closed-sub",
    "groups/a/jobArtifacts/private",
    "groups/a/jobArtifacts/private-metadata",
    "groups/a/jobArtifacts/sticky",
    "groups/closed/jobArtifacts",
]


def close(folder: Path, mode: int) -> None:
    """Give the folder and the files directly in it to another user, with this mode."""
    for path in (folder, *folder.iterdir()):
        os.chown(path, OTHER, OTHER)
    folder.chmod(mode)


@pytest.fixture(scope="module")
def result() -> Any:
    """Run the cleanup on three days; other users cannot enter pytest's own folder."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "phfs"
        env = directory_environment(root)
        Path(name).chmod(0o755)
        fill(env)
        for folder, _, files in os.walk(root):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(path, UID, UID)
        jobs = root / "groups/a/jobArtifacts"
        close(jobs / "private", 0o700)
        close(jobs / "closed-sub/sub/deep", 0o700)
        close(jobs / "sticky", 0o1777)
        close(jobs / "private-metadata" / METADATA, 0o700)
        close(jobs / "private-metadata/.metadata", 0o700)
        (empty := jobs / "empty").mkdir(mode=0o700)
        close(empty, 0o700)
        close(root / "groups/closed/jobArtifacts", 0o000)
        return run_as_other_user("tests.api.cleanup.blocked_cleanup", root)


def fill(env: StoreEnvironment) -> None:
    for job in ("due", "private", "closed-sub", "sticky", "private-metadata"):
        env.add_folder(job)
    env.add_folder("due", "closed")
    env.add_folder("due", "z")
    env.add_folder("kept", "z", expires_in=99 * DAY)


def test_other_jobs_and_groups_are_cleaned(result: Any) -> None:
    first, last = result["runs"][0], result["runs"][-1]
    assert first["remaining"] == ["kept", "private-metadata", "sticky"]
    assert last["remaining"] == ["kept", "sticky"]


def test_blocked_folders_are_reported_and_the_run_succeeds(result: Any) -> None:
    for day, run in enumerate(result["runs"]):
        assert run["has_succeeded"], day
        assert (run["code"], run["failed"], run["oldest_due"]) == (0, 0, 0)
    last = result["runs"][-1]
    assert last["blocked"] == [len(BLOCKED), len(BLOCKED)]
    assert sorted(last["output"][1:]) == [f"blocked by its owner: {folder}" for folder in BLOCKED]


def test_each_blocked_folder_is_logged_once(result: Any) -> None:
    lines = [line for line in result["log"] if line.startswith("folder blocked by its owner")]
    assert sorted(line.split()[5] for line in lines) == [f"folder={folder}" for folder in BLOCKED]
    assert not [line for line in result["log"] if "not removed" in line or "not examined" in line]


def test_the_measurement_counts_what_can_be_read(result: Any) -> None:
    assert result["measured"] == {"a": 4, "z": 2}
    assert result["unreadable"] == 6
    assert any(line.startswith("folders not measured folders=6 first_error=") for line in result["log"])


def test_the_usage_of_a_group_with_a_closed_folder_is_incomplete(result: Any) -> None:
    assert result["usage"] == {"a": [4, 4 * len(FILES) - 1, False], "closed": [0, 0, False], "z": [2, 6, True]}

"""Cleanups killed before each of their changes: the next run removes the rest, and other files are not touched."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.killing_bucket import ENVIRONMENT, bucket_server

pytestmark = pytest.mark.timeout(150)  # dozens of cleanups
OWN_PREFIX = "phjob-artifacts"
DUE = tuple(f"groups/a/jobArtifacts/{job}/" for job in ("job-1", "job-2", "job-3"))
EXPIRY = (EXPIRED_AT, LEGACY_EXPIRED_AT)


def test_a_cleanup_of_a_directory_killed_at_any_change_is_resumed(tmp_path: Path) -> None:
    assert len(run_and_check("directory", tmp_path)) > 35


def test_a_cleanup_of_a_bucket_killed_at_any_request_is_resumed(tmp_path: Path) -> None:
    with bucket_server() as bucket:
        assert len(run_and_check("bucket", tmp_path, {**ENVIRONMENT, "AWS_ENDPOINT_URL": bucket.url})) > 10


def run_and_check(store: str, root: Path, environment: Mapping[str, str] = os.environ) -> list[object]:
    """Run the program, and check the files after each killed cleanup and after the next one."""
    command = [sys.executable, "-m", "tests.api.cleanup.killed_cleanups", store, str(root)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=140, env=environment)
    first, *runs = [json.loads(line) for line in done.stdout.splitlines()]
    before = first["before"]
    for run in runs:
        assert others(run["killed"]) == others(before)
        assert others(run["after"]) == others(before)
        assert [path for path in run["after"] if path.startswith(DUE)] == []
        for kind in ("extensions", "removals"):
            assert [path for path in files(run["after"]) if path.startswith(f"{OWN_PREFIX}/{kind}/a/")] == []
        for path in files(run["after"]):
            if path.startswith(f"{OWN_PREFIX}/first-seen/a/"):  # only for a folder that is empty
                assert f"groups/a/jobArtifacts/{path.rsplit('/')[-1]}/" in run["after"]
        for folder in DUE:
            assert_expiry_was_last(folder, before, run["killed"])
    return runs


def files(paths: list[str]) -> list[str]:
    """Leave out the folders: an empty folder stays until its retention since it was first seen is over."""
    return [path for path in paths if not path.endswith("/")]


def others(paths: list[str]) -> list[str]:
    """Return the files that are neither due nor the cleanup's own."""
    return [path for path in paths if not path.startswith((*DUE, OWN_PREFIX))]


def assert_expiry_was_last(folder: str, before: list[str], killed: list[str]) -> None:
    """Check that no expiry file was removed before the data, and that `expiredAt` was removed last."""
    existing, remaining = (
        {path.removeprefix(folder) for path in files(paths) if path.startswith(folder)} for paths in (before, killed)
    )
    if any(name in existing - remaining for name in EXPIRY):
        assert remaining <= {EXPIRED_AT}

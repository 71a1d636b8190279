"""The cleanup killed before each of its changes, then run again: nothing of others lost, nothing left, expiry last."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.buckets import ENVIRONMENT, bucket_server

OURS = "phjob-artifacts"
DUE = tuple(f"groups/a/jobArtifacts/{job}/" for job in ("job-1", "job-2", "job-3"))
EXPIRY = (EXPIRED_AT, LEGACY_EXPIRED_AT)


def test_a_cleanup_of_a_directory_killed_at_any_change_is_gone_on_with(tmp_path: Path) -> None:
    assert len(check("folder", tmp_path)) > 35


def test_a_cleanup_of_a_bucket_killed_at_any_request_is_gone_on_with(tmp_path: Path) -> None:
    with bucket_server() as bucket:
        assert len(check("bucket", tmp_path, {**ENVIRONMENT, "AWS_ENDPOINT_URL": bucket.url})) > 10


def check(kind: str, place: Path, environment: Mapping[str, str] = os.environ) -> list[object]:
    """Run it, and check what each killed cleanup left, and what was there after the next."""
    command = [sys.executable, "-m", "tests.api.cleanup.killed", kind, str(place)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=50, env=environment)
    first, *runs = [json.loads(line) for line in done.stdout.splitlines()]
    before = first["before"]
    for run in runs:
        assert others(run["killed"]) == others(before)
        assert others(run["after"]) == others(before)
        assert [path for path in run["after"] if path.startswith(DUE)] == []
        for kept in ("extensions", "removals"):
            assert [path for path in files(run["after"]) if path.startswith(f"{OURS}/{kept}/a/")] == []
        for path in files(run["after"]):
            if path.startswith(f"{OURS}/first-seen/a/"):  # of a folder that is empty
                assert f"groups/a/jobArtifacts/{path.rsplit('/')[-1]}/" in run["after"]
        for folder in DUE:
            assert_expiry_was_last(folder, before, run["killed"])
    return runs


def files(paths: list[str]) -> list[str]:
    """Without the folders: an empty one is left for a while, since nothing tells when it is to go."""
    return [path for path in paths if not path.endswith("/")]


def others(paths: list[str]) -> list[str]:
    """What is neither due nor the cleanup's own."""
    return [path for path in paths if not path.startswith((*DUE, OURS))]


def assert_expiry_was_last(folder: str, before: list[str], killed: list[str]) -> None:
    """As long as there is data in the folder, so are all expiry files; the last of these outlives all else."""
    had, left = (
        {path.removeprefix(folder) for path in files(paths) if path.startswith(folder)} for paths in (before, killed)
    )
    if any(name in had - left for name in EXPIRY):
        assert left <= {EXPIRED_AT}

"""The cleanup killed before each of its changes, then run again: nothing of others lost, nothing left, expiry last."""

import json
import subprocess
import sys
from pathlib import Path

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT

OURS = "phjob-artifacts"
DUE = tuple(f"groups/a/jobArtifacts/{job}/" for job in ("job-1", "job-2", "job-3"))
EXPIRY = (EXPIRED_AT, LEGACY_EXPIRED_AT)


def test_a_cleanup_killed_at_any_change_is_gone_on_with(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.api.cleanup.killed", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    first, *runs = [json.loads(line) for line in done.stdout.splitlines()]
    before = first["before"]
    assert len(runs) > 40
    for run in runs:
        assert others(run["killed"]) == others(before)
        assert others(run["after"]) == others(before)
        assert [path for path in files(run["after"]) if path.startswith(DUE)] == []
        assert [
            path for path in files(run["after"]) if path.startswith((f"{OURS}/retention/a/", f"{OURS}/first-seen/a/"))
        ] == []
        for folder in DUE:
            assert_expiry_was_last(folder, before, run["killed"])


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

"""Runs the kubectl that the project installs."""

import subprocess
import sys
from pathlib import Path

KUBECTL = Path(sys.executable).with_name("kubectl")


def kubectl(*words: str, stdin: str = "", timeout_seconds: float = 60.0) -> str:
    """Run kubectl and return its stdout. Fails the test with its stderr if it fails."""
    process = subprocess.run(
        [KUBECTL, *words], input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    assert process.returncode == 0, f"kubectl {' '.join(words)}: {process.stderr.strip()}"
    return process.stdout


def try_kubectl(*words: str) -> str:
    """Run kubectl and return stdout and stderr, whether it succeeds or not."""
    try:
        process = subprocess.run([KUBECTL, *words], capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return f"kubectl {' '.join(words)}: timeout"
    return process.stdout + process.stderr

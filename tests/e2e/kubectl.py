"""kubectl, as the project installs it: what a user types, and what the raw API is too low for."""

import subprocess
import sys
from pathlib import Path

KUBECTL = Path(sys.executable).with_name("kubectl")


def kubectl(*words: str, given: str = "", seconds: float = 60.0) -> str:
    """What it prints; a failure, with what it says, where it fails."""
    done = subprocess.run([KUBECTL, *words], input=given, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


def try_kubectl(*words: str) -> str:
    """What it prints, or says; for people to read."""
    try:
        done = subprocess.run([KUBECTL, *words], capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return f"kubectl {' '.join(words)}: no answer"
    return done.stdout + done.stderr

"""Runs a program of the tests as the user of the API's pod, who may not read everything."""

import codecs
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.machine import require

UID = 65532
_ROOT = Path(__file__).parents[1]
_PR_SET_DUMPABLE = 4


def run_as_other_user(module: str, *arguments: str | Path) -> Any:
    """Run `python -m module arguments`, which calls `become_other_user`; return the JSON that it prints."""
    require(os.geteuid() == 0, "root, to become another user")
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def become_other_user() -> None:
    """Give up root. Call this after the imports: the user may not be able to read their files."""
    codecs.lookup("utf-8-sig")  # the user may not be able to read Python's library either
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1)  # so that the process owns its own /proc/self

"""PrimeHub's SDK and its command line, in processes of their own: its wheel would hide this project's tests."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.machine import require

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-sdk/bin"
SECONDS = 30


class SdkError(Exception):
    """The SDK raised an exception. `name`: its class; `details`: its arguments."""

    def __init__(self, name: str, details: list[Any]) -> None:
        super().__init__(name, details)
        self.name, self.details = name, details


@dataclass(frozen=True)
class Sdk:
    """A process that calls the SDK as the user of `token`, with the current group `group`."""

    endpoint: str
    token: str
    group: str
    process: subprocess.Popen[str]

    def call(self, function: str, *arguments: Any, **options: Any) -> Any:
        """Call a function such as jobs.submit and return its result. Raises SdkError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([*function.split("."), arguments, options]), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"error": "the SDK has crashed", "details": []}')
        if "error" in answer:
            raise SdkError(answer["error"], answer["details"])
        return answer["result"]

    def run(self, *words: str, home: Path) -> str:
        """Run the command `primehub` and return what it prints. Fails if it fails."""
        options = ["--endpoint", self.endpoint, "--token", self.token, "--group", self.group]
        done = subprocess.run(
            [BIN / "primehub", *options, *words],
            env={"HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def start_sdk(endpoint: str, token: str, group: str, folder: Path) -> Iterator[Sdk]:
    """Start a process in the working directory `folder`; end it with the block."""
    require(BIN.exists(), "PrimeHub's SDK (make .venv-sdk/.stamp)")
    command = [str(BIN / "python"), str(ROOT / "tests/sdk/calls.py"), endpoint, token, group]
    with subprocess.Popen(
        command, cwd=folder, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Sdk(endpoint, token, group, process)
        assert process.stdin is not None
        process.stdin.close()

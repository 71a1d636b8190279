"""Jobs as a user runs or queues them: real processes of `python -m local` in one data directory, what they left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifacts.layout import REPORT
from artifacts.report import Report, read_report
from local.collected import list_files
from local.documents import changing, write_document
from local.environment import module_environ
from local.places import Places

GROUP = "Test_Group"
PATIENCE_SECONDS = 20.0


@dataclass
class Jobs:
    """Starts jobs named `name` in the data directory `data`, and reads back what became of them."""

    data: Path
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self,
        *command: str,
        name: str | None = "job-1",
        options: Mapping[str, str] | None = None,
        stderr: int = subprocess.PIPE,
        **environ: str,
    ) -> subprocess.Popen[str]:
        """Start a runner in a session of its own, as a terminal would. `options` go over our own."""
        given = {"--data": str(self.data), "--group": GROUP} | ({} if name is None else {"--name": name})
        words = [f"{option}={value}" for option, value in (given | dict(options or {})).items()]
        return self._popen(["run", *words, "--", *command], stderr, environ)

    def serve(self, *options: str, **environ: str) -> subprocess.Popen[str]:
        """Start a server of the queued jobs."""
        return self._popen(["serve", f"--data={self.data}", "--port=0", *options], subprocess.PIPE, environ)

    def run_queued(self, name: str = "job-1", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a queued job to its end, as the server does."""
        return self.end(self._popen(["run-queued", f"--data={self.data}", name], subprocess.PIPE, environ))

    def create(self, *command: str, name: str | None = "job-1") -> subprocess.CompletedProcess[str]:
        """Queue a job as a user does."""
        words = [f"--data={self.data}", f"--group={GROUP}"] + ([] if name is None else [f"--name={name}"])
        return self.end(self._popen(["create", *words, "--", *command], subprocess.PIPE, {}))

    def queue(self, command: str, name: str = "job-1", **spec: object) -> None:
        """Queue a job by its file, with as little in it as is allowed."""
        path = self.places(name).phjob
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"metadata": {"name": name}, "spec": {"groupName": GROUP, "command": command, **spec}}
        write_document(path, document)

    def cancel(self, name: str = "job-1") -> None:
        """Ask for the job's end in its file."""
        path = self.places(name).phjob
        with changing(path.parent):
            document = self.phjob(name)
            document["spec"]["cancel"] = True
            write_document(path, document)

    def phase(self, name: str = "job-1") -> str:
        phase = self.phjob(name).get("status", {}).get("phase", "")
        assert isinstance(phase, str)
        return phase

    def _popen(self, words: list[str], stderr: int, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-P", "-m", "local", *words],
            env=module_environ(os.environ) | dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._started.append(started)
        return started

    def run(
        self,
        *command: str,
        name: str | None = "job-1",
        options: Mapping[str, str] | None = None,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a job to its end."""
        return self.end(self.start(*command, name=name, options=options, stderr=subprocess.PIPE, **environ))

    def end(self, started: subprocess.Popen[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Wait for the runner's end."""
        stdout, stderr = started.communicate(stdin, timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(started.args, started.returncode, stdout, stderr)

    def close(self) -> None:
        """Kill the runners that still are, and their jobs: a test that failed may have stopped a sidecar."""
        for started in self._started:
            with started:
                if started.poll() is None:
                    kill([started.pid, *children(started.pid)])

    def places(self, name: str = "job-1") -> Places:
        return Places(self.data, GROUP, name)

    def phjob(self, name: str = "job-1") -> dict[str, Any]:
        document = json.loads(self.places(name).phjob.read_bytes())
        assert isinstance(document, dict)
        return document

    def report(self, name: str = "job-1") -> Report:
        return read_report((self.places(name).store / REPORT).read_bytes())

    def kept(self, name: str = "job-1") -> dict[str, str]:
        """The content of every artifact in the store."""
        store = self.places(name).store
        return {path: (store / path).read_text() for path, _ in list_files(store, 10_000).first}


def wait_for(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def children(pid: int) -> dict[int, str]:
    """The process' children and their command lines."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat, command = (
                Path("/proc", entry, "stat").read_text(),
                Path("/proc", entry, "cmdline").read_text(),
            )
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            found[int(entry)] = command.replace("\0", " ").strip()
    return found


def sidecar_of(pid: int) -> int | None:
    """The sidecar that the runner `pid` has started, if it has one now."""
    return next((child for child, command in children(pid).items() if command.endswith("-m sidecar")), None)


def kill(pids: Iterable[int]) -> None:
    """Kill those that still are."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """The process' state as /proc has it ("Z": a zombie), or "" if there is none."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    return state_of(pid) not in ("", "Z")

"""Starts real processes of `python -m local` in one data directory, and reads back their results."""

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
from local.documents import lock_documents, write_document
from local.environment import module_environ
from local.paths import JobPaths
from local.results import list_files

GROUP = "Test_Group"
TIMEOUT_SECONDS = 20.0


@dataclass
class JobDriver:
    """Runs, queues and cancels jobs in the data directory `data` as a user does."""

    data: Path
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self,
        *command: str,
        name: str | None = "job-1",
        options: Mapping[str, str] | None = None,
        stderr: int = subprocess.PIPE,
        **environ: str,
    ) -> subprocess.Popen[str]:
        """Start `run` in its own session, as a terminal does. `options` override the default ones."""
        defaults = {"--data": str(self.data), "--group": GROUP} | ({} if name is None else {"--name": name})
        words = [f"{option}={value}" for option, value in (defaults | dict(options or {})).items()]
        return self._popen(["run", *words, "--", *command], stderr, environ)

    def serve(self, *options: str, **environ: str) -> subprocess.Popen[str]:
        """Start `serve` on a free port."""
        return self._popen(["serve", f"--data={self.data}", "--port=0", *options], subprocess.PIPE, environ)

    def run_queued(self, name: str = "job-1", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a queued job to its end, as the scheduler does."""
        return self.wait(self._popen(["run-queued", f"--data={self.data}", name], subprocess.PIPE, environ))

    def create(self, *command: str, name: str | None = "job-1") -> subprocess.CompletedProcess[str]:
        """Queue a job with the command line."""
        words = [f"--data={self.data}", f"--group={GROUP}"] + ([] if name is None else [f"--name={name}"])
        return self.wait(self._popen(["create", *words, "--", *command], subprocess.PIPE, {}))

    def queue(self, command: str, name: str = "job-1", **spec: object) -> None:
        """Queue a job by writing its file, with only the mandatory fields and `spec`."""
        path = self.paths(name).phjob
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"metadata": {"name": name}, "spec": {"groupName": GROUP, "command": command, **spec}}
        write_document(path, document)

    def cancel(self, name: str = "job-1") -> None:
        """Request cancellation in the job's file."""
        path = self.paths(name).phjob
        with lock_documents(path.parent):
            document = self.phjob(name)
            document["spec"]["cancel"] = True
            write_document(path, document)

    def phase(self, name: str = "job-1") -> str:
        """Return the phase in the job's file, or "" if it has none."""
        phase = self.phjob(name).get("status", {}).get("phase", "")
        assert isinstance(phase, str)
        return phase

    def _popen(self, words: list[str], stderr: int, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "local", *words],
            env=module_environ(os.environ) | dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def run(
        self,
        *command: str,
        name: str | None = "job-1",
        options: Mapping[str, str] | None = None,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a job to its end."""
        return self.wait(self.start(*command, name=name, options=options, stderr=subprocess.PIPE, **environ))

    def wait(self, process: subprocess.Popen[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Send `stdin` to a process and wait for its end."""
        stdout, stderr = process.communicate(stdin, timeout=TIMEOUT_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def close(self) -> None:
        """Kill the remaining processes and their children: a failed test may have left a stopped sidecar."""
        for process in self._processes:
            with process:
                if process.poll() is None:
                    kill([process.pid, *children(process.pid)])

    def paths(self, name: str = "job-1") -> JobPaths:
        """Return the job's paths."""
        return JobPaths(self.data, GROUP, name)

    def phjob(self, name: str = "job-1") -> dict[str, Any]:
        """Return the content of the job's file."""
        document = json.loads(self.paths(name).phjob.read_bytes())
        assert isinstance(document, dict)
        return document

    def report(self, name: str = "job-1") -> Report:
        """Return the job's report."""
        return read_report((self.paths(name).job_folder / REPORT).read_bytes())

    def artifacts(self, name: str = "job-1") -> dict[str, str]:
        """Return the content of every artifact in the store, by path."""
        folder = self.paths(name).job_folder
        return {path: (folder / path).read_text() for path, _ in list_files(folder, 10_000).first}


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition is true; fail after a timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def children(pid: int) -> dict[int, str]:
    """Return the process ids and command lines of a process' children."""
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
    """Return the process id of the sidecar of the runner `pid`, or None if it has none now."""
    return next((child for child, command in children(pid).items() if command.endswith("-m sidecar")), None)


def kill(pids: Iterable[int]) -> None:
    """Kill the processes that still exist."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """Return the process' state in /proc ("Z": a zombie), or "" if it does not exist."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    return state_of(pid) not in ("", "Z")

"""Starts a real sidecar process as in a pod, stops it as the kubelet does, and measures it from outside."""

import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from artifacts.errors import InvalidDocument
from artifacts.layout import REPORT, job_folder
from artifacts.report import Report, read_report
from artifacts.settings import PREFIX
from bench.stores import BenchmarkStore
from bench.table import BenchError

ROOT = Path(__file__).resolve().parents[1]
_POLL_SECONDS = 0.0005
_TIMEOUT_SECONDS = 120.0
_CPUCLOCK_SCHED = 2  # combined with a process id, it names that process' clock, as in clock_getcpuclockid(3)
_numbers = itertools.count()


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run the sidecar. `path`: its PYTHONPATH."""

    name: str
    command: str
    path: str


@dataclass(frozen=True)
class SidecarExit:
    """A sidecar's exit. Seconds are from SIGTERM to the exit, and to the sealed report in the store (or None)."""

    exit_seconds: float
    sealed_seconds: float | None
    peak_kb: int
    report: Report | None


OWN_PYTHON = Interpreter("", sys.executable, str(ROOT))


def system_python() -> Interpreter | None:
    """Return /usr/bin/python3 with this environment's packages, or None if it does not work or is our own Python."""
    path = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
    python = Interpreter("/usr/bin/python3", "/usr/bin/python3", path)
    code = "import prometheus_client, sidecar"
    if os.path.realpath(sys.executable) == os.path.realpath(python.command):
        return None
    with suppress(OSError):
        process = subprocess.run(
            [python.command, "-P", "-c", code], env={"PYTHONPATH": path}, capture_output=True, check=False
        )
        if process.returncode == 0:
            return python
    return None


class SidecarProcess:
    """A sidecar process that collects `home`/artifacts into a store."""

    def __init__(self, home: Path, store: BenchmarkStore, settings: dict[str, str], python: Interpreter) -> None:
        self.job = f"bench-{next(_numbers)}"
        self._store = store
        self.folder = store.backing / job_folder(self.job)
        self._report = self.folder / REPORT
        self._port = _free_port()
        self._log = home / f"{self.job}.log"
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": python.path,
            "PHJOB_NAME": self.job,
            "PRIMEHUB_GROUP": "bench",
            PREFIX + "PATH": str(home / "artifacts"),
            PREFIX + "ROOT": "/",
            PREFIX + "VOLUMES": f"{home}:{store.path}",
            PREFIX + "PHFS": str(store.path),
            PREFIX + "STORE": str(store.path),
            PREFIX + "METRICS_LISTEN": f"127.0.0.1:{self._port}",
            PREFIX + "TERMINATION_LOG": str(home / f"{self.job}.termination"),
            PREFIX + "LINGER_SECONDS": "0",
            PREFIX + "LIMIT_FILES": "1000000",
            PREFIX + "LIMIT_SIZE_MB": "100000",
            PREFIX + "GRACE_SECONDS": "600",
        } | {PREFIX + name: value for name, value in settings.items()}
        with self._log.open("wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                [python.command, "-P", "-m", "sidecar"], env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._pidfd = os.pidfd_open(self.process.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._pidfd)

    def report(self) -> Report | None:
        """Return the report in the store, or None if it is missing or incomplete."""
        try:
            return read_report(self._report.read_bytes())
        except (OSError, InvalidDocument):
            return None

    def is_reported(self) -> bool:
        """Whether a sync has written a report."""
        return self.report() is not None

    def is_healthy(self) -> bool:
        """Whether /healthz answers."""
        return self.http_get("/healthz") is not None

    def http_get(self, path: str) -> str | None:
        """Return the response of the sidecar's HTTP server, or None if it does not answer (yet)."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5):
                pass
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
                return str(response.read().decode())
        except (OSError, urllib.error.URLError):
            return None

    def wait_for(self, condition: Callable[[], bool], description: str) -> float:
        """Wait until the condition is true. Returns the seconds since the start. Raises BenchError."""
        while not condition():
            if self.process.poll() is not None:
                raise BenchError(f"the sidecar exited before {description}: {self._log_tail()}")
            if time.perf_counter() - self.started > _TIMEOUT_SECONDS:
                raise BenchError(f"timeout: no {description}: {self._log_tail()}")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - self.started

    def wait_idle(self, files: int | None = None) -> None:
        """Wait until the sidecar has synced, watches the folder and serves metrics, and has copied `files` files."""
        self.wait_for(self.is_healthy, "/healthz")
        self.wait_for(self._has_synced, "first sync")
        if files is not None:
            self.wait_for(lambda: (report := self.report()) is not None and report.collected.files == files, "copies")
        self.wait_for(self._is_watching, "watch")
        time.sleep(0.2)

    def end(self, sample_peak: bool = False) -> SidecarExit:
        """Send SIGTERM and wait for the exit. Raises BenchError if the exit code is not 0."""
        sealed: float | None = None
        report: Report | None = None
        last_signature: object = self._signature()
        peak = 0
        started = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        while True:
            ended = bool(select.select([self._pidfd], [], [], _POLL_SECONDS)[0])
            now = time.perf_counter() - started
            if sealed is None and (signature := self._signature()) != last_signature:
                last_signature, report = signature, self.report()
                sealed = now if report is not None and report.sealed_at else None
            if ended:
                break
            if sample_peak:
                peak = self.peak_kb() or peak
            if now > _TIMEOUT_SECONDS:
                raise BenchError(f"no exit after SIGTERM: {self._log_tail()}")
        if self.process.wait() != 0:
            raise BenchError(f"the sidecar exited with {self.process.returncode}: {self._log_tail()}")
        return SidecarExit(now, sealed, peak, report)

    def peak_kb(self) -> int:
        """Return VmHWM, or 0 if the process has ended."""
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return 0

    def cpu_seconds(self) -> float:
        """Return the CPU time so far, including threads that have ended."""
        return time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)

    def _signature(self) -> object:
        with suppress(OSError):
            status = self._report.stat()
            return status.st_ino, status.st_size, status.st_mtime_ns
        return None

    def _has_synced(self) -> bool:
        lines = (self.http_get("/metrics") or "").splitlines()
        return any(
            float(line.split()[1]) > 0
            for line in lines
            if line.startswith("phjob_artifact_sidecar_sync_seconds_count ")
        )

    def _is_watching(self) -> bool:
        for info in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            with suppress(OSError):
                if "inotify wd:" in info.read_text():
                    return True
        return False

    def _log_tail(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-2:]) or "the log is empty"


@contextmanager
def running_sidecar(
    home: Path, store: BenchmarkStore, settings: dict[str, str], python: Interpreter = OWN_PYTHON
) -> Iterator[SidecarProcess]:
    """Run a sidecar for the job whose home is `home`, and kill it afterwards. `settings`: names without the prefix."""
    sidecar = SidecarProcess(home, store, settings, python)
    try:
        yield sidecar
    finally:
        sidecar.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

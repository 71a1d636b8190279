"""A real sidecar process: started as in a pod, waited for, ended as the kubelet ends it, and timed from outside."""

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
from bench.stores import Store
from bench.table import BenchError

ROOT = Path(__file__).resolve().parents[1]
_POLL_SECONDS = 0.0005
_PATIENCE_SECONDS = 120.0
_CPUCLOCK_SCHED = 2  # with a process id it names that process's clock, as clock_getcpuclockid(3) does
_numbers = itertools.count()


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run the sidecar: its command, and where it finds the packages."""

    name: str
    command: str
    path: str


@dataclass(frozen=True)
class End:
    """How a sidecar ended: seconds from SIGTERM to its exit and to the sealed report in the store (or None)."""

    exit_seconds: float
    sealed_seconds: float | None
    peak_kb: int
    report: Report | None


OURS = Interpreter("", sys.executable, str(ROOT))


def system_python() -> Interpreter | None:
    """/usr/bin/python3 with this environment's packages, if that works and is another one than ours."""
    path = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
    python = Interpreter("/usr/bin/python3", "/usr/bin/python3", path)
    code = "import watchdog.observers, prometheus_client, sidecar"
    if os.path.realpath(sys.executable) == os.path.realpath(python.command):
        return None
    with suppress(OSError):
        done = subprocess.run(
            [python.command, "-P", "-c", code], env={"PYTHONPATH": path}, capture_output=True, check=False
        )
        if done.returncode == 0:
            return python
    return None


class Sidecar:
    """One process that collects `home`/artifacts into a store."""

    def __init__(self, home: Path, store: Store, settings: dict[str, str], python: Interpreter) -> None:
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
        return self.process.pid

    def close(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._pidfd)

    def report(self) -> Report | None:
        """The report in the store, None where there is none that is whole."""
        try:
            return read_report(self._report.read_bytes())
        except (OSError, InvalidDocument):
            return None

    def is_reported(self) -> bool:
        """Whether a sync has told the store what it did."""
        return self.report() is not None

    def is_healthy(self) -> bool:
        """Whether /healthz answers."""
        return self.ask("/healthz") is not None

    def ask(self, path: str) -> str | None:
        """The answer of its own HTTP server, None where there is none (yet)."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5):
                pass
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return None

    def wait_for(self, condition: Callable[[], bool], what: str) -> float:
        """Seconds from the start until it holds. Raises BenchError."""
        while not condition():
            if self.process.poll() is not None:
                raise BenchError(f"the sidecar ended before {what}: {self._last_words()}")
            if time.perf_counter() - self.started > _PATIENCE_SECONDS:
                raise BenchError(f"no {what}: {self._last_words()}")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - self.started

    def wait_idle(self, files: int | None = None) -> None:
        """Until it has synced, watches the folder and serves metrics; `files`: and so many are in the store."""
        self.wait_for(self.is_healthy, "/healthz")
        self.wait_for(self._has_synced, "first sync")
        if files is not None:
            self.wait_for(lambda: (report := self.report()) is not None and report.collected.files == files, "copies")
        self.wait_for(self._watches, "watch")
        time.sleep(0.2)

    def end(self, sample_peak: bool = False) -> End:
        """Send SIGTERM and wait for the exit. Raises BenchError where it fails."""
        sealed: float | None = None
        report: Report | None = None
        seen: object = self._signature()
        peak = 0
        started = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        while True:
            ended = bool(select.select([self._pidfd], [], [], _POLL_SECONDS)[0])
            now = time.perf_counter() - started
            if sealed is None and (signature := self._signature()) != seen:
                seen, report = signature, self.report()
                sealed = now if report is not None and report.sealed_at else None
            if ended:
                break
            if sample_peak:
                peak = self.peak_kb() or peak
            if now > _PATIENCE_SECONDS:
                raise BenchError(f"no end after SIGTERM: {self._last_words()}")
        if self.process.wait() != 0:
            raise BenchError(f"the sidecar ended with {self.process.returncode}: {self._last_words()}")
        return End(now, sealed, peak, report)

    def peak_kb(self) -> int:
        """VmHWM, 0 once it has ended."""
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return 0

    def cpu_seconds(self) -> float:
        """CPU time so far, threads that have ended included."""
        return time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)

    def _signature(self) -> object:
        with suppress(OSError):
            found = self._report.stat()
            return found.st_ino, found.st_size, found.st_mtime_ns
        return None

    def _has_synced(self) -> bool:
        lines = (self.ask("/metrics") or "").splitlines()
        return any(
            float(line.split()[1]) > 0
            for line in lines
            if line.startswith("phjob_artifact_sidecar_sync_seconds_count ")
        )

    def _watches(self) -> bool:
        for info in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            with suppress(OSError):
                if "inotify wd:" in info.read_text():
                    return True
        return False

    def _last_words(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-2:]) or "it said nothing"


@contextmanager
def running(home: Path, store: Store, settings: dict[str, str], python: Interpreter = OURS) -> Iterator[Sidecar]:
    """A sidecar for the job whose home is `home`; `settings` without their prefix. It is gone afterwards."""
    sidecar = Sidecar(home, store, settings, python)
    try:
        yield sidecar
    finally:
        sidecar.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

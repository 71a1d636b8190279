"""Runs one job: starts the sidecar, runs main, and has the artifacts collected after main has ended.

Does for one job what kubelet and controller do in a cluster: signals, grace periods, the PhJob's status.
"""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

from artifacts.report import Report
from artifacts.settings import SidecarSettings
from local.documents import read_document, write_document
from local.environment import main_environ, sidecar_environ
from local.paths import JobPaths
from local.phjob import (
    JobSpec,
    MainExit,
    PhJob,
    artifact_status,
    cancelled_in_queue_status,
    exit_status,
    make_phjob,
    running_status,
    with_status,
)
from local.phjob_files import StartError, add_phjob, claim, release_claim, write_status
from local.printout import format_progress, printable
from local.processes import (
    adopt_orphans,
    block_signals,
    has_ended,
    kill_orphans,
    reap_orphans,
    signal_group,
    start_main,
    wait_signal,
)
from local.queue import read_phjob
from local.results import read_result, read_summary
from local.sidecar_supervisor import SidecarSupervisor

logger = logging.getLogger(__name__)

_DEFAULT_GRACE_SECONDS = 30.0  # as in a pod


@dataclass(frozen=True)
class JobResult:
    """The result of a job. `report` is None if collecting is switched off; `exit_code` is the runner's."""

    phjob: PhJob
    report: Report | None
    exit_code: int


class Runner:
    """Runs one job once, in its own process.

    `environ`: the user's environment, with the settings; `show_progress` receives a line on the last sync's progress.
    """

    def __init__(
        self, spec: JobSpec, data: Path, environ: Mapping[str, str], show_progress: Callable[[str], None]
    ) -> None:
        """Raises InvalidName or ConfigError if the job cannot be run."""
        self.paths = JobPaths(data, spec.group, spec.job)
        self._spec, self._show_progress = spec, show_progress
        sidecar_env = sidecar_environ(environ, self.paths, spec.uid)
        self._settings = SidecarSettings.from_env(sidecar_env)
        self._main_environ = main_environ(environ, self._settings, spec.user)
        self._sidecar = SidecarSupervisor(sidecar_env, self.paths.sidecar_log) if self._settings.enabled else None
        self._cancelling: frozenset[signal.Signals] = frozenset()
        self._cancelled_by: int | None = None
        self._is_overdue = False

    def run(self) -> JobResult:
        """Run the job to its end. Signals to this process cancel the job, and main's end kills its other children.

        Raises:
            NameTaken: another job has the name.
            StartError: the job cannot be started.
        """
        lock = claim(self.paths, self._spec.is_queued)
        try:
            self._phjob = self._load_queued() if self._spec.is_queued else self._create()
            logger.info("running job %s in %s", self._spec.job, self.paths.home)
            self._cancelling = block_signals()
            adopt_orphans()
            if self._sidecar:
                self._sidecar.start()
            main_exit = self._run_main()
            status = exit_status(main_exit, self._ended_by, time.time())
            report = self._collect(main_exit.status_file(status["reason"]))
            if report:
                status["artifact"] = artifact_status(report)
            self._update_status(status)
        finally:
            os.close(lock)
        return JobResult(self._phjob, report, self._exit_code(main_exit))

    def _run_main(self) -> MainExit:
        spec = self._spec
        try:
            log = self.paths.main_log if spec.is_queued else None
            main = start_main(spec.command, self.paths.home, self._main_environ, log)
        except OSError as error:
            logger.error("cannot start %s: %s", printable(spec.command[0][:200]), error.strerror)
            return MainExit(127 if isinstance(error, FileNotFoundError) else 126)  # as a shell does
        self._update_status(running_status(time.time()))
        self._wait_for_main(main)
        main_exit = MainExit.from_returncode(main.wait())
        if survivors := kill_orphans(self._sidecar_pids()):
            logger.warning("could not kill these processes that the command started: %s", survivors)
        return main_exit

    def _wait_for_main(self, main: subprocess.Popen[bytes]) -> None:
        """Wait for main's end; meanwhile handle signals, the deadline and restarts of the sidecar."""
        kill_at, deadline = inf, time.monotonic() + (self._spec.deadline_seconds or inf)
        while not has_ended(main):
            wake_at = min(kill_at, deadline, self._sidecar.restart_at if self._sidecar else inf)
            if number := wait_signal(self._cancelling, wake_at - time.monotonic()):
                kill_at = self._cancel(main, number)
            if time.monotonic() >= deadline:
                deadline, kill_at = inf, min(kill_at, self._end_overdue(main))
            if time.monotonic() >= kill_at:
                signal_group(main, signal.SIGKILL)
                kill_at = inf
            if self._sidecar:
                self._sidecar.restart_if_ended()
            reap_orphans(self._sidecar_pids() | {main.pid})

    def _cancel(self, main: subprocess.Popen[bytes], number: int) -> float:
        """Send SIGTERM to main. Returns the time (monotonic) to kill it: immediately at the second call."""
        if self._cancelled_by is not None:
            return time.monotonic()
        self._cancelled_by = number
        logger.warning(
            "cancelling: the command has %g seconds to end; press Ctrl-C again to kill it", self._main_grace_seconds
        )
        return self._terminate(main)

    def _end_overdue(self, main: subprocess.Popen[bytes]) -> float:
        if self._cancelled_by is not None:
            return inf
        self._is_overdue = True
        logger.warning("ending the command because its deadline of %s seconds has passed", self._spec.deadline_seconds)
        return self._terminate(main)

    def _terminate(self, main: subprocess.Popen[bytes]) -> float:
        """Send SIGTERM to main. Returns the time (monotonic) at which the grace period is over."""
        signal_group(main, signal.SIGTERM)
        return time.monotonic() + self._main_grace_seconds

    @property
    def _main_grace_seconds(self) -> float:
        return self._settings.grace_seconds or _DEFAULT_GRACE_SECONDS

    @property
    def _ended_by(self) -> Literal["itself", "cancel", "deadline"]:
        if self._is_overdue:
            return "deadline"
        return "itself" if self._cancelled_by is None else "cancel"

    def _collect(self, main_status: Mapping[str, Any]) -> Report | None:
        if not self._sidecar:
            return None
        with _log_write_errors(self.paths.main_status):
            write_document(self.paths.main_status, main_status)
        self._sidecar.stop(self._cancelling, self._settings.grace_seconds, self._show_sync_progress)
        self._show_progress("")
        return read_result(self.paths, self._spec.uid)

    def _show_sync_progress(self) -> None:
        self._show_progress(format_progress(read_summary(self.paths.termination_log)))

    def _sidecar_pids(self) -> frozenset[int]:
        return self._sidecar.pids if self._sidecar else frozenset()

    def _create(self) -> PhJob:
        phjob = make_phjob(self._spec, time.time())
        try:
            add_phjob(self.paths, phjob, (self.paths.phjob,))
        except StartError:
            release_claim(self.paths)
            raise
        return phjob

    def _load_queued(self) -> PhJob:
        """Read the queued PhJob again, now that no other runner can claim it."""
        try:
            queued = read_phjob(self._spec.job, read_document(self.paths.phjob))
        except OSError as error:
            raise StartError(f"cannot read {self.paths.phjob}: {error.strerror}") from error
        self._phjob = with_status(queued.document, {"podName": self._spec.job})
        if queued.is_cancelled:
            self._update_status(cancelled_in_queue_status(time.time()))
            raise StartError("it was cancelled")
        return self._phjob

    def _update_status(self, status: Mapping[str, Any]) -> None:
        self._phjob = with_status(self._phjob, status)
        with _log_write_errors(self.paths.phjob):
            write_status(self.paths.phjob, self._phjob)

    def _exit_code(self, main_exit: MainExit) -> int:
        # A cancelled command may exit with 0, but it has not done its work.
        return main_exit.shell_code or (128 + self._cancelled_by if self._cancelled_by is not None else 0)


@contextlib.contextmanager
def _log_write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a full disk must not end the job
        logger.warning("cannot write %s: %s", path, error.strerror)

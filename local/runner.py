"""Runs one job: the sidecar first, then main; what main left is collected when it has ended, however it did.

It does for one job what kubelet and controller do in a cluster: signals, grace periods, the PhJob's status.
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
from local.collected import read_outcome, read_termination
from local.documents import read_document, write_document
from local.environment import main_environ, sidecar_environ
from local.keeper import Keeper
from local.phjob import (
    MainEnd,
    Order,
    PhJob,
    artifact_status,
    end_status,
    make_phjob,
    running_status,
    with_status,
    withdrawn_status,
)
from local.phjobs import NotStarted, add_phjob, claim, give_back, write_status
from local.places import Places
from local.printout import printable, progress_line
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """How a job fared. `report`: None where collecting is off; `exit_code`: what the runner exits with."""

    phjob: PhJob
    report: Report | None
    exit_code: int


class Runner:
    """One job on this machine, run once by one process.

    `environ`: the user's environment with the settings; `show` takes the line on the last sync's progress.
    """

    def __init__(self, order: Order, data: Path, environ: Mapping[str, str], show: Callable[[str], None]) -> None:
        """Raises InvalidName or ConfigError for what cannot be run."""
        self.places = Places(data, order.group, order.job)
        self._order, self._show = order, show
        sidecar = sidecar_environ(environ, self.places, order.uid)
        self._settings = SidecarSettings.from_env(sidecar)
        self._main_environ = main_environ(environ, self._settings, order.user)
        self._keeper = Keeper(sidecar, self.places.sidecar_log) if self._settings.enabled else None
        self._cancelling: frozenset[signal.Signals] = frozenset()
        self._cancelled_by: int | None = None
        self._is_overdue = False

    def run(self) -> Result:
        """Run the job to its end. Raises NotStarted, or Taken, where it may not be started.

        From then on this process takes signals for the job alone; at main's end it kills every other child.
        """
        lock = claim(self.places, self._order.queued)
        try:
            self._phjob = self._take() if self._order.queued else self._create()
            logger.info("job %s in %s", self._order.job, self.places.home)
            self._cancelling = block_signals()
            adopt_orphans()
            if self._keeper:
                self._keeper.start()
            end = self._run_main()
            status = end_status(end, self._ended_by, time.time())
            report = self._collect(end.status(status["reason"]))
            if report:
                status["artifact"] = artifact_status(report)
            self._update(status)
        finally:
            os.close(lock)
        return Result(self._phjob, report, self._exit_code(end))

    def _run_main(self) -> MainEnd:
        order = self._order
        try:
            log = self.places.main_log if order.queued else None
            main = start_main(order.command, self.places.home, self._main_environ, log)
        except OSError as error:
            logger.error("cannot start %s: %s", printable(order.command[0][:200]), error.strerror)
            return MainEnd(127 if isinstance(error, FileNotFoundError) else 126)  # as a shell would
        self._update(running_status(time.time()))
        self._watch(main)
        end = MainEnd.of(main.wait())
        if stubborn := kill_orphans(self._sidecar_pids()):
            logger.warning("main left processes that do not die: %s", stubborn)
        return end

    def _watch(self, main: subprocess.Popen[bytes]) -> None:
        """Wait for main's end, handling all that may happen until then."""
        kill_at, deadline = inf, time.monotonic() + (self._order.deadline_seconds or inf)
        while not has_ended(main):
            wake_at = min(kill_at, deadline, self._keeper.restart_at if self._keeper else inf)
            if number := wait_signal(self._cancelling, wake_at - time.monotonic()):
                kill_at = self._cancel(main, number)
            if time.monotonic() >= deadline:
                deadline, kill_at = inf, min(kill_at, self._end_overdue(main))
            if time.monotonic() >= kill_at:
                signal_group(main, signal.SIGKILL)
                kill_at = inf
            if self._keeper:
                self._keeper.keep()
            reap_orphans(self._sidecar_pids() | {main.pid})

    def _cancel(self, main: subprocess.Popen[bytes], number: int) -> float:
        """Tell main to end; returns the time (monotonic) at which it is killed: at once when told twice."""
        if self._cancelled_by is not None:
            return time.monotonic()
        self._cancelled_by = number
        grace = self._settings.grace_seconds
        logger.warning("cancelling: main has %g seconds to end; once more to kill it at once", grace)
        return self._terminate(main)

    def _end_overdue(self, main: subprocess.Popen[bytes]) -> float:
        if self._cancelled_by is not None:
            return inf
        self._is_overdue = True
        logger.warning("main has run for its %s seconds and is ended", self._order.deadline_seconds)
        return self._terminate(main)

    def _terminate(self, main: subprocess.Popen[bytes]) -> float:
        """Returns the time at which main is killed."""
        signal_group(main, signal.SIGTERM)
        return time.monotonic() + self._settings.grace_seconds

    @property
    def _ended_by(self) -> Literal["itself", "cancel", "deadline"]:
        if self._is_overdue:
            return "deadline"
        return "itself" if self._cancelled_by is None else "cancel"

    def _collect(self, main_status: Mapping[str, Any]) -> Report | None:
        if not self._keeper:
            return None
        with _going_on(self.places.main_status):
            write_document(self.places.main_status, main_status)
        self._keeper.finish(self._cancelling, self._settings.grace_seconds, self._show_progress)
        self._show("")
        return read_outcome(self.places, self._order.uid)

    def _show_progress(self) -> None:
        self._show(progress_line(read_termination(self.places.termination_log)))

    def _sidecar_pids(self) -> frozenset[int]:
        return self._keeper.pids if self._keeper else frozenset()

    def _create(self) -> PhJob:
        phjob = make_phjob(self._order, time.time())
        try:
            add_phjob(self.places, phjob, (self.places.phjob,))
        except NotStarted:
            give_back(self.places)
            raise
        return phjob

    def _take(self) -> PhJob:
        """The queued PhJob, as it is now that no other runner can take it."""
        try:
            filed = read_phjob(self._order.job, read_document(self.places.phjob))
        except OSError as error:
            raise NotStarted(f"cannot read {self.places.phjob}: {error.strerror}") from error
        self._phjob = with_status(filed.document, {"podName": self._order.job})
        if filed.cancel:
            self._update(withdrawn_status(time.time()))
            raise NotStarted("it was cancelled")
        return self._phjob

    def _update(self, status: Mapping[str, Any]) -> None:
        self._phjob = with_status(self._phjob, status)
        with _going_on(self.places.phjob):
            write_status(self.places.phjob, self._phjob)

    def _exit_code(self, end: MainEnd) -> int:
        # A main that takes SIGTERM for its cue to end well has not done what it was started for.
        return end.shell_code or (128 + self._cancelled_by if self._cancelled_by is not None else 0)


@contextlib.contextmanager
def _going_on(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a full disk must not end the job
        logger.warning("cannot write %s: %s", path, error.strerror)

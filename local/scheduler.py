"""Runs the PhJobs queued in a data directory, each in its own process, until a signal ends it.

All state is in files, so several schedulers may share a directory, and one that was killed needs no repair. It lists
the folder twice a second, which costs less than watching it: running jobs write their status often.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from artifacts.errors import ArtifactError
from local.documents import lock_documents, read_document, write_document
from local.paths import JobPaths
from local.phjob import cancelled_in_queue_status, runner_lost_status, with_status
from local.phjob_cache import PhJobCache
from local.phjob_files import StartError, make_data_directory, runner_state
from local.printout import printable
from local.processes import block_signals, start_runner, wait_signal
from local.queue import Action, QueuedJob, RunnerState, plan_actions, read_phjob

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


class JobScheduler:
    """Runs the PhJobs in `data`, at most `max_jobs` at the same time. `environ`: the user's, with the settings."""

    def __init__(self, data: Path, max_jobs: int, environ: Mapping[str, str]) -> None:
        """Raises StartError if the data directory cannot be used."""
        self._data, self._max_jobs, self._environ = data, max_jobs, environ
        self._cache = PhJobCache(make_data_directory(data), self._read)
        self._runners: dict[str, subprocess.Popen[bytes]] = {}
        self._signalled: set[str] = set()

    def run(self) -> None:
        """Run jobs until a cancelling signal arrives, then cancel the running jobs and wait for their end.

        Runners die with the thread that calls this. Raises StartError if the PhJobs cannot be listed any more.
        """
        cancelling = block_signals()
        try:
            self._step()
            while not wait_signal(cancelling, _POLL_SECONDS):
                self._step()
        finally:
            self._shut_down(cancelling)

    def _step(self) -> None:
        self._reap_runners()
        jobs = [(job, self._runner_state(job)) for job in self._load() if job.is_active]
        for name, action in plan_actions(jobs, self._runners, self._signalled, self._max_jobs).items():
            if action == "start":
                self._start(name)
            elif action == "cancel":
                self._cancel([name])
            else:
                self._mark_ended(name, action)

    def _load(self) -> Iterable[QueuedJob]:
        try:
            return self._cache.refresh().values()
        except OSError as error:
            raise StartError(f"cannot list {self._cache.folder}: {error.strerror}") from error

    def _read(self, name: str) -> QueuedJob | None:
        try:
            return read_phjob(name, read_document(self._cache.path(name)))
        except (OSError, ArtifactError) as error:
            self._log_ignored(name, printable(str(error)))
            return None

    def _start(self, name: str) -> None:
        try:
            self._runners[name] = start_runner(self._data, name, self._environ)
        except (OSError, subprocess.SubprocessError) as error:
            self._ignore(name, f"its runner cannot be started: {error}")

    def _reap_runners(self) -> None:
        for name, runner in list(self._runners.items()):
            if runner.poll() is not None:
                del self._runners[name]
                self._signalled.discard(name)
                if not os.path.lexists(self._data / "jobs" / name):
                    self._ignore(name, "the job could not be started")

    def _cancel(self, names: Collection[str]) -> None:
        for name in names:
            self._runners[name].send_signal(signal.SIGTERM)
            self._signalled.add(name)

    def _mark_ended(self, name: str, action: Action) -> None:
        """Write the final status of a job without a runner, if the action is still right once we hold the lock."""
        try:
            with lock_documents(self._cache.folder):
                job = read_phjob(name, read_document(self._cache.path(name)))
                if plan_actions([(job, self._runner_state(job))], (), (), 0).get(name) != action:
                    return
                now = time.time()
                status = cancelled_in_queue_status(now) if action == "mark_cancelled" else runner_lost_status(now)
                write_document(self._cache.path(name), with_status(job.document, status))
        except (OSError, ArtifactError) as error:
            self._ignore(name, printable(str(error)))
        else:
            logger.info("%s: %s (%s)", name, status["phase"], status["message"])

    def _ignore(self, name: str, reason: str) -> None:
        self._log_ignored(name, reason)
        self._cache.ignore(name)

    def _log_ignored(self, name: str, reason: str) -> None:
        logger.warning("ignoring %s until it changes: %s", printable(str(self._cache.path(name))), reason)

    def _shut_down(self, cancelling: frozenset[signal.Signals]) -> None:
        """Cancel the running jobs and wait for their end. Every further signal is sent to all of them."""
        self._reap_runners()
        if self._runners:
            logger.warning("cancelling the %d running jobs; press Ctrl-C again to kill them", len(self._runners))
        self._cancel([name for name in self._runners if name not in self._signalled])
        while self._runners:
            if wait_signal(cancelling, _POLL_SECONDS):
                self._cancel(self._runners)
            self._reap_runners()

    def _runner_state(self, job: QueuedJob) -> RunnerState:
        return runner_state(JobPaths(self._data, job.spec.group, job.spec.job))

"""Runs the PhJobs that are queued in a data directory, each in a process of its own, until it is told to end.

All that lasts is in the files, so several may serve one directory, and one that was killed leaves nothing to mend.
It looks twice a second and watches nothing: a listing costs less than the events of jobs that write their status.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from artifacts.errors import ArtifactError
from local.documents import changing, read_document, write_document
from local.phjob import lost_status, with_status, withdrawn_status
from local.phjobs import NotStarted, make_data, trace_of
from local.places import Places
from local.printout import printable
from local.processes import block_signals, start_runner, wait_signal
from local.queue import Action, Filed, Trace, decide, read_phjob
from local.seen import Seen

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


class Server:
    """Serves the PhJobs in `data`, at most `most` at once. `environ`: the user's, with the settings."""

    def __init__(self, data: Path, most: int, environ: Mapping[str, str]) -> None:
        """Raises NotStarted where the data directory cannot be used."""
        self._data, self._most, self._environ = data, most, environ
        self._seen = Seen(make_data(data), self._read)
        self._runners: dict[str, subprocess.Popen[bytes]] = {}
        self._told: set[str] = set()

    def run(self) -> None:
        """Serve until a signal that cancels, then cancel the jobs that run and wait for their end.

        A job ends with the thread that calls this. Raises NotStarted when the PhJobs cannot be listed any more.
        """
        cancelling = block_signals()
        try:
            self._step()
            while not wait_signal(cancelling, _POLL_SECONDS):
                self._step()
        finally:
            self._end(cancelling)

    def _step(self) -> None:
        self._reap()
        found = [(filed, self._trace(filed)) for filed in self._look() if filed.is_open]
        for job, action in decide(found, self._runners, self._told, self._most).items():
            if action == "start":
                self._start(job)
            elif action == "cancel":
                self._cancel([job])
            else:
                self._mark(job, action)

    def _look(self) -> Iterable[Filed]:
        try:
            return self._seen.look().values()
        except OSError as error:
            raise NotStarted(f"cannot list {self._seen.folder}: {error.strerror}") from error

    def _read(self, job: str) -> Filed | None:
        try:
            return read_phjob(job, read_document(self._seen.path(job)))
        except (OSError, ArtifactError) as error:
            logger.warning("%s is left alone: %s", printable(str(self._seen.path(job))), printable(str(error)))
            return None

    def _start(self, job: str) -> None:
        try:
            self._runners[job] = start_runner(self._data, job, self._environ)
        except (OSError, subprocess.SubprocessError) as error:
            self._leave(job, f"its runner cannot be started: {error}")

    def _reap(self) -> None:
        for job, runner in list(self._runners.items()):
            if runner.poll() is not None:
                del self._runners[job]
                self._told.discard(job)
                if not os.path.lexists(self._data / "jobs" / job):
                    self._leave(job, "it could not be started")

    def _cancel(self, jobs: Collection[str]) -> None:
        for job in jobs:
            self._runners[job].send_signal(signal.SIGTERM)
            self._told.add(job)

    def _mark(self, job: str, action: Action) -> None:
        """Write the end of a job that has no runner, if the same is still to be done once we are alone."""
        try:
            with changing(self._seen.folder):
                filed = read_phjob(job, read_document(self._seen.path(job)))
                if decide([(filed, self._trace(filed))], (), (), 0).get(job) != action:
                    return
                status = withdrawn_status(time.time()) if action == "withdraw" else lost_status(time.time())
                write_document(self._seen.path(job), with_status(filed.document, status))
        except (OSError, ArtifactError) as error:
            self._leave(job, printable(str(error)))
        else:
            logger.info("%s: %s, %s", job, status["phase"], status["message"])

    def _leave(self, job: str, reason: str) -> None:
        """Say so, and do nothing about the job until its file changes."""
        logger.warning("%s is left alone: %s", self._seen.path(job), reason)
        self._seen.leave(job)

    def _end(self, cancelling: frozenset[signal.Signals]) -> None:
        """Cancel the jobs that run, as their runner does when it is sent a signal; every further one goes to all."""
        self._reap()
        if self._runners:
            logger.warning("ending: %d jobs are cancelled; once more to kill them at once", len(self._runners))
        self._cancel([job for job in self._runners if job not in self._told])
        while self._runners:
            if wait_signal(cancelling, _POLL_SECONDS):
                self._cancel(self._runners)
            self._reap()

    def _trace(self, filed: Filed) -> Trace:
        return trace_of(Places(self._data, filed.order.group, filed.order.job))

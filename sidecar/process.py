"""The sidecar's process in a pod: handles the signals, and starts and ends the threads in order.

The main thread only waits for signals. It reacts to SIGTERM at once, whatever the sync thread is doing, and a store
that hangs cannot delay the pod: past its deadline the process writes `incomplete` and exits.
"""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Mapping

from artifacts import __version__
from artifacts.errors import ConfigError
from artifacts.layout import job_folder
from artifacts.log import LOG_FORMAT, configure_log, get_logger
from artifacts.report import Count, Report
from artifacts.settings import SETTINGS_TABLE, SidecarSettings, unknown_settings
from sidecar.access import MainUser
from sidecar.copy_strategy import choose_strategy
from sidecar.deadlines import compute_deadlines
from sidecar.entry import SIGNALS
from sidecar.run_log import RunLog
from sidecar.source import Source, VolumeView
from sidecar.store import JobFolderStore, file_system_of
from sidecar.sync import Syncer
from sidecar.sync_loop import SyncLoop
from sidecar.termination import TerminationMessage

logger = get_logger("sidecar")

_POLL_SECONDS = 0.2  # between checks for pending signals, which are blocked so that no thread is interrupted
_ABORT_SECONDS = 5.0  # from the abort of a last sync to its seal, if there is no deadline


def run(environ: Mapping[str, str]) -> int:
    """Run the sidecar until SIGTERM. Returns 0 in every case: with invalid settings it only waits for the signal."""
    log_to_stderr(environ, "info")
    try:
        settings = SidecarSettings.from_env(environ)
        syncer = create_syncer(settings)
    except (ConfigError, OSError) as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            logger.error("cannot start, no files will be collected", error=problem)
        return _wait_idle(environ, "; ".join(problems))
    for name in unknown_settings(environ):
        logger.warning("unknown setting ignored", name=name)
    if not settings.enabled:
        logger.info("disabled, no files will be collected")
        return _wait_idle(environ, "")
    SidecarRun(settings, syncer).run()
    logging.shutdown()
    os._exit(0)  # a normal exit would wait for threads that hang on a dead store


def log_to_stderr(environ: Mapping[str, str], default_level: str) -> None:
    """Configure the log from the environment. Invalid values are replaced; reading the settings reports them."""
    level = environ.get("PHJOB_ARTIFACT_LOG_LEVEL", default_level)
    valid_level = level if level in ("debug", "info", "warning", "error") else "info"
    common = {"job": environ.get("PHJOB_NAME", ""), "group": environ.get("PRIMEHUB_GROUP", "")}
    configure_log(environ.get(LOG_FORMAT.env, ""), getattr(logging, valid_level.upper()), common)
    logging.getLogger("watchdog").setLevel(logging.INFO)  # at DEBUG it logs every event


def create_syncer(settings: SidecarSettings) -> Syncer:
    """Create the syncer for the settings, and set the umask to 0. Raises OSError if the root cannot be opened."""
    folder = f"{settings.phfs.rstrip('/')}/{job_folder(settings.job)}"
    view = VolumeView(settings.path, settings.volumes, settings.hidden_paths, folder, settings.private_volumes)
    source = Source(settings.root, view, MainUser(settings.main_uid, settings.main_gid))
    store = JobFolderStore(settings.store, settings.job, settings.file_mode, settings.folder_mode)
    strategy = choose_strategy(file_system_of(settings.store), settings.digest == "sha256")
    os.umask(0)  # the modes of copies are settings
    return Syncer(settings, source, store, strategy)


def _wait_idle(environ: Mapping[str, str], problem: str) -> int:
    """Wait until the job ends. If the container exited, the kubelet would restart it again and again."""
    if problem:
        path = environ.get("PHJOB_ARTIFACT_TERMINATION_LOG") or _default("termination_log")
        report = Report(
            environ.get("PHJOB_NAME", ""), "incomplete", f"no files were collected: {problem}", version=__version__
        )
        TerminationMessage(path).write(report)
    while signal.sigwait(SIGNALS) == signal.SIGUSR1:
        pass
    return 0


def _default(field: str) -> str:
    return next(row.default or "" for row in SETTINGS_TABLE if row.field == field)


class SidecarRun:
    """One run: starts the sync thread and the metrics, waits for SIGTERM, and enforces the deadlines."""

    def __init__(self, settings: SidecarSettings, syncer: Syncer) -> None:
        self._settings, self._syncer = settings, syncer
        self._loop = SyncLoop(syncer, settings.sync_seconds, settings.quiet_seconds)
        self._termination = TerminationMessage(settings.termination_log)
        self._run_log = RunLog()
        self._prestop_at: float | None = None
        syncer.applier.on_progress = self._publish_progress

    def run(self) -> None:
        """Run until the last sync has been sealed or has failed, and the mount has had time to upload."""
        self._run_log.log_start(self._settings)
        self._termination.write(self._syncer.report)
        self._loop.start()
        self._serve_metrics()
        self._wait_for_sigterm()
        self._finish()

    def _publish_progress(self, report: Report, todo: Count | None) -> None:
        if todo is None:
            self._termination.write(report)
            if not self._syncer.main_ended.is_set():
                self._run_log.log_progress(report)
        else:
            self._termination.write_progress(report, todo)

    def _serve_metrics(self) -> None:
        if self._settings.metrics_listen is None:
            return
        from sidecar.metrics import serve_metrics  # noqa: PLC0415 - takes 80 ms, which would delay the first sync

        try:
            serve_metrics(self._settings.metrics_listen, self._syncer.report, self._syncer.metadata.totals)
        except OSError as error:
            # Main shares the pod's network and may use the port. The controller's metrics do not depend on it.
            logger.info("metrics not served", port=self._settings.metrics_listen[1], error=error.strerror)

    def _wait_for_sigterm(self) -> None:
        while (received := signal.sigwait(SIGNALS)) == signal.SIGUSR1:
            self._prestop_at = time.monotonic()
            logger.debug("sync requested", signal=received)
            self._loop.sync_now()

    def _finish(self) -> None:
        ended_at, sigterm_at = time.time(), time.monotonic()
        deadlines = compute_deadlines(self._settings.grace_seconds, sigterm_at, self._prestop_at)
        syncer = self._syncer
        syncer.end_main(ended_at)
        report = syncer.report
        report.message = "main has ended; the last sync is running"
        report.state = "incomplete"
        self._termination.write(report)
        self._loop.finish(deadlines.sync_until, deadlines.main_until)
        threading.Thread(target=syncer.write_interim_report, name="interim-report", daemon=True).start()
        self._run_log.log_main_ended(deadlines.sync_until - sigterm_at)
        if not self._wait_done(deadlines.sync_until):
            syncer.applier.abort.set()
            exit_until = min(deadlines.exit_until, time.monotonic() + _ABORT_SECONDS)
            if not self._loop.done.wait(max(0.1, exit_until - 0.1 - time.monotonic())):
                report.state, report.sealed_at = "incomplete", 0.0
                report.message = "time ran out before all files were stored"
        lag_seconds = time.monotonic() - sigterm_at
        self._termination.write(report, lag_seconds=lag_seconds)
        self._run_log.log_outcome(report, lag_seconds)
        self._linger(deadlines.exit_until)

    def _wait_done(self, until: float) -> bool:
        """Wait for the end of the last sync. Returns False if it is not done by `until`.

        Without a deadline, a second SIGTERM ends the wait. In a pod it does not, since the kubelet may repeat SIGTERM.
        """
        if until < math.inf:
            return self._loop.done.wait(until - time.monotonic())
        while not self._loop.done.wait(_POLL_SECONDS):
            if signal.SIGTERM in signal.sigpending():
                return False
        return True

    def _linger(self, until: float) -> None:
        seconds = min(self._syncer.linger_seconds(), until - time.monotonic())
        if seconds > 0:
            logger.info("waiting for the mount to upload files", seconds=round(seconds, 1))
            time.sleep(seconds)

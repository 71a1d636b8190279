"""The process in a pod: signals, and the order in which things start and end.

The main thread only takes signals, so that SIGTERM is answered at once whatever the syncing thread is doing, and so
that a store which hangs cannot keep the pod: past its deadline the process says `incomplete` and ends.
"""

import logging
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
from sidecar.deadline import deadlines
from sidecar.loop import Loop
from sidecar.method import choose_method
from sidecar.signals import SIGNALS
from sidecar.source import Source, View
from sidecar.store import Store, file_system_of
from sidecar.story import Story
from sidecar.sync import Syncer
from sidecar.termination import Termination

log = get_logger("sidecar")


def run(environ: Mapping[str, str]) -> int:
    """The sidecar until SIGTERM. It never fails for the job's sake: with settings it cannot use it only waits."""
    log_to_stderr(environ, "info")
    try:
        settings = SidecarSettings.from_env(environ)
        syncer = make_syncer(settings)
    except (ConfigError, OSError) as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            log.error("nothing will be collected", problem=problem)
        return _wait_in_vain(environ, "; ".join(problems))
    for name in unknown_settings(environ):
        log.warning("unknown setting, ignored", name=name)
    if not settings.enabled:
        log.info("switched off, nothing will be collected")
        return _wait_in_vain(environ, "")
    Sidecar(settings, syncer).run()
    logging.shutdown()
    os._exit(0)  # threads that hang on a dead store would keep an ordinary exit from ending


def log_to_stderr(environ: Mapping[str, str], default: str) -> None:
    """As the settings say, and where one of them is wrong, somehow: that is told in the log."""
    level = environ.get("PHJOB_ARTIFACT_LOG_LEVEL", default)
    known = level if level in ("debug", "info", "warning", "error") else "info"
    common = {"job": environ.get("PHJOB_NAME", ""), "group": environ.get("PRIMEHUB_GROUP", "")}
    configure_log(environ.get(LOG_FORMAT.env, ""), getattr(logging, known.upper()), common)
    logging.getLogger("watchdog").setLevel(logging.INFO)  # it says a word on every event


def make_syncer(settings: SidecarSettings) -> Syncer:
    """All that a sync needs, by the settings; raises OSError where the root or the store cannot be looked at."""
    folder = f"{settings.phfs.rstrip('/')}/{job_folder(settings.job)}"
    view = View(settings.path, settings.volumes, settings.hidden_paths, folder)
    store = Store(settings.store, settings.job, settings.file_mode, settings.folder_mode)
    method = choose_method(file_system_of(settings.store), settings.digest == "sha256")
    os.umask(0)  # the settings say which modes copies get
    return Syncer(settings, Source(settings.root, view), store, method)


def _wait_in_vain(environ: Mapping[str, str], problem: str) -> int:
    """Stay until the job is over: a container that ends is started again and again, and would hold the job."""
    if problem:
        path = environ.get("PHJOB_ARTIFACT_TERMINATION_LOG") or _default("termination_log")
        said = Report(
            environ.get("PHJOB_NAME", ""), "incomplete", f"nothing was collected: {problem}", version=__version__
        )
        Termination(path).write(said)
    while signal.sigwait(SIGNALS) == signal.SIGUSR1:
        pass
    return 0


def _default(field: str) -> str:
    return next(row.default or "" for row in SETTINGS_TABLE if row.field == field)


class Sidecar:
    """One run: starts the syncing thread and the metrics, waits for the end, and sees to it that it comes."""

    def __init__(self, settings: SidecarSettings, syncer: Syncer) -> None:
        self._settings, self._syncer = settings, syncer
        self._loop = Loop(syncer, settings.sync_seconds, settings.quiet_seconds)
        self._termination = Termination(settings.termination_log)
        self._story = Story()
        self._prestop: float | None = None
        syncer.applier.progress = self._progress

    def run(self) -> None:
        self._story.start(self._settings)
        self._termination.write(self._syncer.report)
        self._loop.start()
        self._serve_metrics()
        self._wait_for_end()
        self._finish()

    def _progress(self, report: Report, todo: Count | None) -> None:
        if todo is None:
            self._termination.write(report)
            if not self._syncer.stopping.is_set():
                self._story.look(report)
        else:
            self._termination.write_progress(report, todo)

    def _serve_metrics(self) -> None:
        if self._settings.metrics_listen is None:
            return
        from sidecar.metrics import serve_metrics  # noqa: PLC0415 - 80 ms that a first sync need not wait for

        try:
            serve_metrics(self._settings.metrics_listen, self._syncer.report, self._syncer.journal.totals)
        except OSError as error:
            # The port is main's network too. The controller counts from the summary, so nothing is lost.
            log.info("metrics not served", port=self._settings.metrics_listen[1], error=error.strerror)

    def _wait_for_end(self) -> None:
        while (caught := signal.sigwait(SIGNALS)) == signal.SIGUSR1:
            self._prestop = time.monotonic()
            log.debug("asked to sync now", signal=caught)
            self._loop.hasten()

    def _finish(self) -> None:
        ended_at, terminated = time.time(), time.monotonic()
        limits = deadlines(self._settings.grace_seconds, terminated, self._prestop)
        syncer = self._syncer
        syncer.end(ended_at)
        report = syncer.report
        report.message = "main has ended; the last sync is under way"
        report.state = "incomplete"
        self._termination.write(report)
        self._loop.finish(limits.sync, limits.main)
        threading.Thread(target=syncer.announce, name="announce", daemon=True).start()
        self._story.end(limits.sync - terminated)
        if not self._loop.done.wait(limits.sync - time.monotonic()):
            syncer.applier.abort.set()
            if not self._loop.done.wait(max(0.1, limits.exit - 0.1 - time.monotonic())):
                report.state, report.sealed_at = "incomplete", 0.0
                report.message = "time ran out before everything was stored"
        lag = time.monotonic() - terminated
        self._termination.write(report, lag_seconds=lag)
        self._story.tell(report, lag)
        self._linger(limits.exit)

    def _linger(self, until: float) -> None:
        seconds = min(self._syncer.linger_seconds(), until - time.monotonic())
        if seconds > 0:
            log.info("staying for the mount to store what was written", seconds=round(seconds, 1))
            time.sleep(seconds)

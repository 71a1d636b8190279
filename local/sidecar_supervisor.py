"""Runs the sidecar of one job: restarts it while main runs, as the kubelet does, and stops it after main has ended.

A failure of the sidecar never changes the job's phase or exit code.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path

from local.processes import start_sidecar, wait_signal

logger = logging.getLogger(__name__)

_MAX_DELAY_SECONDS = 60.0
_RESET_SECONDS = 600.0  # the kubelet resets its restart delay after this run time too
_PROGRESS_SECONDS = 0.5
_REPORT_SECONDS = 6.0  # for a sidecar that gives up; it takes at most 5


class SidecarSupervisor:
    """The sidecar process of one job. Call `start`, then `restart_if_ended` while main runs, then `stop`."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ, self._log = environ, log
        self._process: subprocess.Popen[bytes] | None = None
        self._delay_seconds = 0.0
        self._started_at = 0.0
        self.restart_at = float("inf")  # monotonic seconds

    @property
    def pids(self) -> frozenset[int]:
        """The sidecar's process id, if it has been started."""
        return frozenset([self._process.pid] if self._process else [])

    def start(self) -> None:
        """Start the sidecar. If that fails, schedule a restart."""
        self.restart_at, self._started_at = float("inf"), time.monotonic()
        try:
            self._process = start_sidecar(self._environ, self._log)
        except (OSError, subprocess.SubprocessError) as error:
            self._schedule_restart(f"could not be started: {error}")

    def restart_if_ended(self) -> None:
        """Schedule a restart if the sidecar has ended, and restart it at the scheduled time."""
        if self._process and self._process.poll() is not None:
            self._schedule_restart(f"ended with code {self._process.returncode} while the job runs")
            self._process = None
        if time.monotonic() >= self.restart_at:
            self.start()

    def stop(
        self, cancelling: frozenset[signal.Signals], timeout_seconds: float, show_progress: Callable[[], None]
    ) -> None:
        """Send SIGTERM to the sidecar, wait for its last sync, and kill it after the timeout; 0: no timeout.

        The first cancelling signal logs a hint, the second ends the wait: without a timeout, the sidecar gets a few
        seconds to report which files are missing. `show_progress` is called twice a second.
        """
        if not self._process or self._process.poll() is not None:
            self.start()  # SIGTERM is blocked until Python is ready, so the new sidecar syncs once and seals
        if not self._process:
            return
        self._process.send_signal(signal.SIGTERM)
        deadline, signal_count = time.monotonic() + (timeout_seconds or inf), 0
        while self._process.poll() is None and (remaining := deadline - time.monotonic()) > 0:
            if wait_signal(cancelling, min(remaining, _PROGRESS_SECONDS)):
                signal_count += 1
                if signal_count == 1:
                    logger.warning("collecting artifacts; press Ctrl-C again to stop without the remaining files")
                elif signal_count == 2 and not timeout_seconds:
                    self._process.send_signal(signal.SIGTERM)
                    deadline = time.monotonic() + _REPORT_SECONDS
                else:
                    break
            show_progress()
        if self._process.poll() is None:
            limit = f" (it may take {timeout_seconds:g} seconds: see --grace)" if timeout_seconds else ""
            logger.warning("the collector did not finish and was killed%s", limit)
            self._process.kill()
            self._process.wait()

    def _schedule_restart(self, problem: str) -> None:
        if time.monotonic() - self._started_at > _RESET_SECONDS:
            self._delay_seconds = 0.0
        self.restart_at = time.monotonic() + self._delay_seconds
        logger.warning(
            "the collector %s; restarting it in %g seconds (log: %s)",
            problem,
            self._delay_seconds,
            os.fspath(self._log),
        )
        self._delay_seconds = min(_MAX_DELAY_SECONDS, max(1.0, 2 * self._delay_seconds))

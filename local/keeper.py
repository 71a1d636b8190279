"""Keeps the sidecar alive while main runs, as the kubelet does, and ends it when main has ended.

Apart from `runner`, which follows main: what happens to the sidecar never decides how the job fares.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local.processes import start_sidecar, wait_signal

logger = logging.getLogger(__name__)

_MAX_DELAY_SECONDS = 60.0
_STEADY_SECONDS = 600.0  # one that lived so long starts anew at once, as with the kubelet
_PROGRESS_SECONDS = 0.5


class Keeper:
    """The sidecar of one job. Must be started, kept while main runs, and finished."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ, self._log = environ, log
        self._process: subprocess.Popen[bytes] | None = None
        self._delay_seconds = 0.0
        self._started_at = 0.0
        self.restart_at = float("inf")  # monotonic

    @property
    def pids(self) -> frozenset[int]:
        return frozenset([self._process.pid] if self._process else [])

    def start(self) -> None:
        """Start the sidecar; where that fails it is tried again later, as when it ends."""
        self.restart_at, self._started_at = float("inf"), time.monotonic()
        try:
            self._process = start_sidecar(self._environ, self._log)
        except (OSError, subprocess.SubprocessError) as error:
            self._plan_restart(f"could not be started: {error}")

    def keep(self) -> None:
        """Notice a sidecar that has ended, and start it again when its time has come."""
        if self._process and self._process.poll() is not None:
            self._plan_restart(f"ended ({self._process.returncode}) while the job runs")
            self._process = None
        if time.monotonic() >= self.restart_at:
            self.start()

    def finish(self, cancelling: frozenset[signal.Signals], seconds: float, show: Callable[[], None]) -> None:
        """Tell the sidecar that the job is over, wait at most `seconds` for its last sync, then kill it.

        A cancelling signal is answered with a hint, a second ends the wait. `show` is called twice a second.
        """
        if not self._process or self._process.poll() is not None:
            self.start()  # with SIGTERM blocked from its start, it syncs once and seals
        if not self._process:
            return
        self._process.send_signal(signal.SIGTERM)
        deadline, hinted = time.monotonic() + seconds, False
        while self._process.poll() is None and (left := deadline - time.monotonic()) > 0:
            if wait_signal(cancelling, min(left, _PROGRESS_SECONDS)):
                if hinted:
                    break
                hinted = True
                logger.warning("the artifacts are being collected; once more to give up what is not collected yet")
            show()
        if self._process.poll() is None:
            logger.warning("the collector had not finished and was killed (it may take %g seconds: --grace)", seconds)
            self._process.kill()
            self._process.wait()

    def _plan_restart(self, what: str) -> None:
        if time.monotonic() - self._started_at > _STEADY_SECONDS:
            self._delay_seconds = 0.0
        self.restart_at = time.monotonic() + self._delay_seconds
        logger.warning("the collector %s; again in %g seconds (%s)", what, self._delay_seconds, os.fspath(self._log))
        self._delay_seconds = min(_MAX_DELAY_SECONDS, max(1.0, 2 * self._delay_seconds))

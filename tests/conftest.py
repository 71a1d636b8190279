"""Fixtures for every test: a clean environment, and a check for leaked threads and file descriptors.

The sidecar runs as long as its job, so a leak in a test would be a leak on every sync.
"""

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator

import hypothesis
import pytest

from artifacts.log import LineFormatter

# The duration of an example depends on the load of the machine.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# A shell ignores SIGINT in background jobs, and the commands that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of the developer's shell or a PrimeHub pod."""
    for name in os.environ:
        if name.startswith(("PHJOB_", "PRIMEHUB_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def formatted_log(request: pytest.FixtureRequest) -> None:
    """Format caplog.text as in production, with fields."""
    if "caplog" in request.fixturenames:
        request.getfixturevalue("caplog").handler.setFormatter(LineFormatter("text"))


@pytest.fixture(scope="session")
def leak_grace_seconds() -> float:
    """Return how long after a test its threads and file descriptors may still end."""
    return 1.0


@pytest.fixture(autouse=True)
def no_leaks(leak_grace_seconds: float) -> Iterator[None]:
    """Fail tests that leak threads or file descriptors."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    deadline = time.monotonic() + leak_grace_seconds
    while leaks := _leaks(threads, descriptors):
        if time.monotonic() > deadline:
            pytest.fail("leaked: " + ", ".join(leaks), pytrace=False)
        gc.collect()  # a reference cycle, for example of a caught exception, is not a leak
        time.sleep(0.01)


def _leaks(threads: set[threading.Thread], descriptors: dict[int, str]) -> list[str]:
    new_threads = [f"thread {thread.name!r}" for thread in threading.enumerate() if thread not in threads]
    new_descriptors = {n: target for n, target in _descriptors().items() if n not in descriptors}
    return new_threads + [f"descriptor {n} -> {target}" for n, target in sorted(new_descriptors.items())]


def _descriptors() -> dict[int, str]:
    """Return the open descriptors and their targets, without the one that lists them.

    The API opens the mount table once and keeps it open.
    """
    targets = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return {number: target for number, target in targets.items() if target != f"/proc/{os.getpid()}/mountinfo"}

"""What holds for every test: a clean environment before it, no thread and no file descriptor left after it.

The sidecar lives as long as its job: what leaks in a test would leak on every sync.
"""

import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator

import hypothesis
import pytest

from artifacts.log import LineFormatter

SETTLING_SECONDS = 1.0

# How long an example takes says something of what else the machine does, not of the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the developer's shell, or a PrimeHub pod, has set."""
    for name in os.environ:
        if name.startswith(("PHJOB_", "PRIMEHUB_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def formatted_log(request: pytest.FixtureRequest) -> None:
    """Let caplog.text hold the lines that people read, fields included."""
    if "caplog" in request.fixturenames:
        request.getfixturevalue("caplog").handler.setFormatter(LineFormatter("text"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a file descriptor, naming each; one just ending gets a moment."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    deadline = time.monotonic() + SETTLING_SECONDS
    while left := _left_behind(threads, descriptors):
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + ", ".join(left), pytrace=False)
        gc.collect()  # a reference cycle, of a caught exception say, is no leak
        time.sleep(0.01)


def _left_behind(threads: set[threading.Thread], descriptors: dict[int, str]) -> list[str]:
    new_threads = [f"thread {thread.name!r}" for thread in threading.enumerate() if thread not in threads]
    new_descriptors = {n: target for n, target in _descriptors().items() if n not in descriptors}
    return new_threads + [f"descriptor {n} -> {target}" for n, target in sorted(new_descriptors.items())]


def _descriptors() -> dict[int, str]:
    """The open descriptors and what each points at, without the one that lists them."""
    targets = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return targets

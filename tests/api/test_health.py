"""The readiness probe: its checks, their rate, and its messages without locations."""

import pytest

from api.errors import ServiceUnavailable
from api.health import Readiness
from artifacts.errors import StoreError
from tests.lines import lines_of


class Check:
    """A check that counts its calls, and fails while `error` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.calls += 1
        if self.error:
            raise self.error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ServiceUnavailable("the jobs cannot be read"), "the jobs cannot be read"),
        (StoreError("list", "/secret/place", OSError(5, "Input/output error")), "the store cannot be reached"),
    ],
)
def test_problem_names_what_fails_but_not_its_location(error: Exception, problem: str) -> None:
    good, bad = Check(), Check()
    bad.error = error
    assert Readiness([good, bad], Clock()).problem() == problem


def test_readiness_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check, clock = Check(), Clock()
    readiness = Readiness([check], clock)
    for clock.now, check.error in (
        (0.0, None),
        (2.0, ServiceUnavailable("gone")),
        (4.0, ServiceUnavailable("gone")),
        (6.0, None),
    ):
        readiness.problem()
    assert lines_of(caplog.records) == ["not ready reason=gone", "ready again"]


def test_checks_run_at_most_every_two_seconds() -> None:
    check, clock = Check(), Clock()
    readiness = Readiness([check], clock)
    for clock.now in (0.0, 1.0, 1.9, 2.0, 3.9):
        assert readiness.problem() == ""
    assert check.calls == 2


def test_recovered_check_is_ready_again() -> None:
    check, clock = Check(), Clock()
    readiness = Readiness([check], clock)
    check.error = ServiceUnavailable("gone")
    assert readiness.problem() == "gone"
    check.error, clock.now = None, 2.0
    assert readiness.problem() == ""

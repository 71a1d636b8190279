"""The estimate of how long a mount still needs to upload, from the writes and the time since."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.settings import MIB, SidecarSettings
from sidecar.writeback import WriteBack


def write_back(linger_seconds: float = 6.0, files_per_second: int = 100, mb_per_second: int = 20) -> WriteBack:
    environ = {
        "PHJOB_NAME": "job-1",
        "PHJOB_ARTIFACT_LINGER_SECONDS": str(linger_seconds),
        "PHJOB_ARTIFACT_LINGER_FILES_PER_SECOND": str(files_per_second),
        "PHJOB_ARTIFACT_LINGER_MB_PER_SECOND": str(mb_per_second),
    }
    return WriteBack(SidecarSettings.from_env(environ))


@pytest.mark.parametrize(
    ("files", "size", "seconds"),
    [(0, 0, 6.0), (1, 0, 6.01), (1000, 0, 16.0), (1, 100 * MIB, 11.0), (700, 100 * MIB, 13)],
)
def test_the_slower_of_files_and_bytes_decides(files: int, size: int, seconds: float) -> None:
    model = write_back()
    model.add(files, size, 100.0)
    assert model.seconds_to_drain(100.0) == pytest.approx(seconds)


def test_the_backlog_drains_over_time() -> None:
    model = write_back()
    model.add(1000, 0, 100.0)
    model.add(1000, 0, 105.0)
    assert model.seconds_to_drain(105.0) == pytest.approx(6 + 15)
    assert model.seconds_to_drain(115.0) == pytest.approx(6 + 5)
    assert model.seconds_to_drain(1000.0) == pytest.approx(6)


def test_disabled_lingering_takes_no_time() -> None:
    model = write_back(linger_seconds=0)
    model.add(10**6, 10**12, 100.0)
    assert model.seconds_to_drain(100.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 2**30), st.floats(0, 100)), max_size=8))
def test_time_shortens_and_writes_lengthen_the_estimate(writes: list[tuple[int, int, float]]) -> None:
    model, now = write_back(), 0.0
    for files, size, pause in writes:
        before = model.seconds_to_drain(now)
        now += pause
        assert model.seconds_to_drain(now) <= before + 1e-9
        drained = model.seconds_to_drain(now)
        model.add(files, size, now)
        assert model.seconds_to_drain(now) >= drained >= 6.0

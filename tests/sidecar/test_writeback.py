"""How long to stay for a mount that stores later: by what was written, and for how long it has had."""

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
def test_the_slower_of_files_and_bytes_counts(files: int, size: int, seconds: float) -> None:
    model = write_back()
    model.add(files, size, 100.0)
    assert model.seconds(100.0) == pytest.approx(seconds)


def test_what_was_written_earlier_has_been_stored_meanwhile() -> None:
    model = write_back()
    model.add(1000, 0, 100.0)
    model.add(1000, 0, 105.0)
    assert model.seconds(105.0) == pytest.approx(6 + 15)
    assert model.seconds(115.0) == pytest.approx(6 + 5)
    assert model.seconds(1000.0) == pytest.approx(6)


def test_where_lingering_is_off_nobody_waits() -> None:
    model = write_back(linger_seconds=0)
    model.add(10**6, 10**12, 100.0)
    assert model.seconds(100.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 2**30), st.floats(0, 100)), max_size=8))
def test_time_only_shortens_the_stay_and_writing_only_lengthens_it(writes: list[tuple[int, int, float]]) -> None:
    model, now = write_back(), 0.0
    for files, size, pause in writes:
        before = model.seconds(now)
        now += pause
        assert model.seconds(now) <= before + 1e-9
        rested = model.seconds(now)
        model.add(files, size, now)
        assert model.seconds(now) >= rested >= 6.0

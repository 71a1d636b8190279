"""Stamps: any change of a file shows, whatever its numbers are."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecar import stamp
from sidecar.stamp import changed_ns, size_of, stamp_of
from tests.machine import require
from tests.storefs import tmpfs

TIME = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.tuples(st.integers(0, 2**63 - 1), TIME, TIME, st.integers(0, 2**64 - 1))


@given(NUMBERS, st.binary(max_size=32))
def test_a_stamp_tells_its_numbers_also_with_a_digest_behind_it(numbers: tuple[int, ...], digest: bytes) -> None:
    made = stamp.pack(*numbers)
    assert len(made) == stamp.SIZE == 32
    assert stamp.unpack(made) == numbers
    assert (size_of(made + digest), changed_ns(made + digest)) == (numbers[0], numbers[2])


@given(NUMBERS, NUMBERS)
def test_files_that_differ_in_any_number_have_different_stamps(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert (stamp.pack(*one) == stamp.pack(*other)) == (one == other)


def test_nothing_has_no_size() -> None:
    assert size_of(b"") == 0


def test_a_stamp_is_what_stat_says(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, -7))
    found = path.stat()
    assert stamp.unpack(stamp_of(found)) == (5, -7, found.st_ctime_ns, found.st_ino)
    assert changed_ns(stamp_of(found)) == found.st_ctime_ns


def test_a_file_of_the_far_future_has_a_stamp_too(tmp_path: Path) -> None:
    """Any job can set such a time on a file system in memory, where nothing rounds it down."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    with tmpfs.tmpfs(tmp_path, 4096):
        path = tmp_path / "a"
        path.touch()
        for seconds in (2**40, -(2**40)):
            os.utime(path, ns=(0, seconds * 10**9))
            found = path.stat()
            require(abs(found.st_mtime_ns) > 2**63, "a file system with such times")
            assert stamp.unpack(stamp_of(found))[1] in (2**63 - 1, -(2**63))

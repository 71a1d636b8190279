"""File signatures: every change of a file changes its signature, whatever the values of its fields."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecar import file_signature
from sidecar.file_signature import changed_at_ns, signature_of, size_of
from tests.machine import require
from tests.storefs import tmpfs

TIME = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.tuples(st.integers(0, 2**63 - 1), TIME, TIME, st.integers(0, 2**64 - 1))


@given(NUMBERS, st.binary(max_size=32))
def test_a_signature_is_unpacked_also_if_a_digest_follows(numbers: tuple[int, ...], digest: bytes) -> None:
    signature = file_signature.pack(*numbers)
    assert len(signature) == file_signature.SIGNATURE_BYTES == 32
    assert file_signature.unpack(signature) == numbers
    assert (size_of(signature + digest), changed_at_ns(signature + digest)) == (numbers[0], numbers[2])


@given(NUMBERS, NUMBERS)
def test_files_that_differ_in_any_field_have_different_signatures(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert (file_signature.pack(*one) == file_signature.pack(*other)) == (one == other)


def test_empty_bytes_have_size_0() -> None:
    assert size_of(b"") == 0


def test_a_signature_contains_the_fields_of_stat(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, -7))
    found = path.stat()
    assert file_signature.unpack(signature_of(found)) == (5, -7, found.st_ctime_ns, found.st_ino)
    assert changed_at_ns(signature_of(found)) == found.st_ctime_ns


def test_times_beyond_64_bits_are_clamped(tmp_path: Path) -> None:
    """Any job can set such a time on a tmpfs, which does not clamp it."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    with tmpfs.tmpfs(tmp_path, 4096):
        path = tmp_path / "a"
        path.touch()
        for seconds in (2**40, -(2**40)):
            os.utime(path, ns=(0, seconds * 10**9))
            found = path.stat()
            require(abs(found.st_mtime_ns) > 2**63, "a file system with such times")
            assert file_signature.unpack(signature_of(found))[1] in (2**63 - 1, -(2**63))

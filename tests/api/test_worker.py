"""Whether a request is complete, by the bytes received so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.worker import wanted_bytes

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        (b"G", 2),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        (HEAD, len(HEAD) + 10),
        (HEAD + b"123456789", len(HEAD) + 10),
        (HEAD + b"1234567890", 0),
        (HEAD + b"1234567890GET / HTTP/1.1\r\n", 0),
        (HEAD.replace(b"10", b"999999"), 0),  # refused without reading it
        (HEAD.replace(b"10", b"-1"), 0),
        (HEAD.replace(b"Content-Length: 10", b"content-length:\t3 "), len(HEAD) + 3),
        (b"GET / HTTP/1.1\r\nX: Content-Length: 10\r\n\r\n", 0),
        (b"x" * 200_000, 0),
    ],
)
def test_wanted_bytes(received: bytes, wanted: int) -> None:
    assert wanted_bytes(received) == wanted


@given(st.integers(0, 1000), st.integers(0, 2000))
def test_request_is_complete_exactly_when_all_bytes_have_arrived(length: int, cut: int) -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length
    received = request[:cut]
    assert (wanted_bytes(received) == 0) == (len(received) == len(request))
    assert wanted_bytes(received) <= len(request)

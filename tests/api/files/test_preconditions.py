"""Preconditions: when a response is 200, 206, 304, 412 or 416."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.files.preconditions import ByteRange, ResponsePlan, evaluate
from api.store.store import FileStat

CHANGED = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT
STAT = FileStat(10, CHANGED + 0.5, "tag")
AT, BEFORE, AFTER = (f"Sun, 09 Sep 2001 01:46:{second} GMT" for second in (40, 39, 41))
WHOLE = ResponsePlan(200, ByteRange(0, 10))
PART = ResponsePlan(206, ByteRange(2, 3))
RANGE = {"Range": "bytes=2-4"}


@pytest.mark.parametrize(
    ("headers", "plan"),
    [
        ({}, WHOLE),
        (RANGE, PART),
        ({"Range": "bytes=10-"}, ResponsePlan(416)),
        ({"If-None-Match": '"tag"'}, ResponsePlan(304)),
        ({"If-None-Match": 'W/"tag"'}, ResponsePlan(304)),
        ({"If-None-Match": '"other", "tag"'}, ResponsePlan(304)),
        ({"If-None-Match": "*"}, ResponsePlan(304)),
        ({"If-None-Match": '"other"'}, WHOLE),
        ({"If-None-Match": '"other"', "If-Modified-Since": AFTER}, WHOLE),
        ({"If-None-Match": '"tag"', **RANGE}, ResponsePlan(304)),
        ({"If-Modified-Since": AT}, ResponsePlan(304)),
        ({"If-Modified-Since": AFTER}, ResponsePlan(304)),
        ({"If-Modified-Since": BEFORE}, WHOLE),
        ({"If-Modified-Since": "yesterday"}, WHOLE),
        ({"If-Match": '"tag"'}, WHOLE),
        ({"If-Match": "*"}, WHOLE),
        ({"If-Match": '"other"'}, ResponsePlan(412)),
        ({"If-Match": 'W/"tag"'}, ResponsePlan(412)),
        ({"If-Match": '"other"', "If-None-Match": '"tag"'}, ResponsePlan(412)),
        ({"If-Match": '"tag"', "If-Unmodified-Since": BEFORE}, WHOLE),
        ({"If-Unmodified-Since": BEFORE}, ResponsePlan(412)),
        ({"If-Unmodified-Since": AT}, WHOLE),
        ({"If-Unmodified-Since": "tomorrow"}, WHOLE),
        ({"If-Range": '"tag"', **RANGE}, PART),
        ({"If-Range": '"other"', **RANGE}, WHOLE),
        ({"If-Range": 'W/"tag"', **RANGE}, WHOLE),
        ({"If-Range": AT, **RANGE}, WHOLE),
        ({"If-Range": "", **RANGE}, WHOLE),
        ({"If-Range": '"other"', "Range": "bytes=10-"}, WHOLE),
        ({"If-Range": '"tag"'}, WHOLE),
    ],
)
def test_preconditions_determine_the_response(headers: dict[str, str], plan: ResponsePlan) -> None:
    assert evaluate(headers, STAT) == plan


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"]),
        st.text(alphabet='W/"tag*, bytes=-0123456789:SunGMT', max_size=60),
    )
)
def test_any_headers_have_a_response(headers: dict[str, str]) -> None:
    plan = evaluate(headers, STAT)
    assert plan.status in (200, 206, 304, 412, 416)
    assert plan.byte_range.start + plan.byte_range.length <= STAT.size


@pytest.mark.parametrize(
    "date", ["Sun, 09 Sep 99999 01:46:40 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "0", "-1", "\x00"]
)
def test_invalid_dates_are_ignored(date: str) -> None:
    assert evaluate({"If-Modified-Since": date, "If-Unmodified-Since": date}, STAT).status in (200, 304, 412)

"""Which form a scraper is given, whatever its header says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.scrape import wants_openmetrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("text/plain, APPLICATION/openmetrics-text ; q=0.5 ; version=1.0.0", True),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;version=x", False),
        ("text/plain;version=0.0.4", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_openmetrics_is_for_whoever_asks_for_its_version(accept: str, wants: bool) -> None:
    assert wants_openmetrics(accept) is wants


@given(st.text())
def test_no_header_breaks_it(accept: str) -> None:
    wants_openmetrics(accept)

"""Values in log lines: whatever they hold, a line stays one line, and a key keeps its value."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.log import value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models/a-1_b.pt", "models/a-1_b.pt"),
        ("naïve文", "naïve文"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('a"b', '"a\\"b"'),
        ("a\nb", '"a\\nb"'),
        ("a\u202eb", '"a\\u202eb"'),
    ],
)
def test_a_plain_value_is_told_as_it_is_and_any_other_quoted(text: str, told: str) -> None:
    assert value(text) == told


@given(st.text(st.characters(), max_size=50))
@example("\ud800\u2028")
@example("x" * 2000)
def test_a_value_is_one_printable_word_that_can_be_read_back(text: str) -> None:
    told = value(text)
    assert told.isprintable()
    assert told.encode()
    assert len(told.split(" ")) == 1 or told.startswith('"')
    assert (json.loads(told) if told.startswith('"') else told) == text[:1024]

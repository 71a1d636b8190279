"""The form of log lines: one event is one line, and what users choose forges neither a line nor a key."""

import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifacts.log import LineFormatter, quote

TEMPLATE = "removed group=%s job=%s files=%d seconds=%.3f why=%s"
WORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')


def line(form: str, template: str, *arguments: object, **given: Any) -> str:
    record = logging.LogRecord("any", logging.INFO, "file.py", 1, template, arguments, given.get("exc_info"))
    return LineFormatter(form, given.get("common"), given.get("start")).format(record)


def pairs(text: str) -> dict[str, str]:
    """The pairs of a text line, read as any reader would."""
    found = WORD.findall(text[text.index(" group=") + 1 :])
    assert "".join(f"{key}={value} " for key, value in found) == text[text.index(" group=") + 1 :] + " "
    return {key: json.loads(value) if value.startswith('"') else value for key, value in found}


def test_a_text_line_is_time_level_event_and_pairs() -> None:
    told = line("text", TEMPLATE, "vision", "job-1", 3, 0.25, "as its expiredAt says", common={"part": "api"})
    start, rest = told[:24], told[24:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start)
    assert rest == ' INFO removed part=api group=vision job=job-1 files=3 seconds=0.25 why="as its expiredAt says"'


def test_a_json_line_has_the_same_with_numbers_as_numbers() -> None:
    told = json.loads(line("json", TEMPLATE, "vision", "job-1", 3, 0.25, None, common={"part": "api"}))
    del told["time"]
    fields = {"part": "api", "group": "vision", "job": "job-1", "files": 3, "seconds": 0.25, "why": None}
    assert told == {"level": "info", "event": "removed", **fields}


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
    assert quote(text) == told


@given(st.text(st.characters(), max_size=50), st.text(st.characters(), max_size=50))
@example("\ud800\u2028", 'x" files=9 job="y')
@example("x" * 2000, "\r\x1b[2Jjob=other")
def test_whatever_a_value_is_it_can_be_read_back_from_one_line(group: str, why: str) -> None:
    text = line("text", TEMPLATE, group, "job-1", 3, 0.25, why)
    assert text.isprintable()
    expected = {"group": group[:1024], "job": "job-1", "files": "3", "seconds": "0.25", "why": why[:1024]}
    assert pairs(text) == expected
    told = json.loads(line("json", TEMPLATE, group, "job-1", 3, 0.25, why))
    assert (told["group"], told["why"]) == (group[:1024], why[:1024])


@given(st.text(st.characters(), max_size=50))
@example("job=other")
def test_what_a_library_says_is_an_event_on_one_line_that_has_no_pairs(text: str) -> None:
    for template, arguments in (("peer said %s", (text,)), (text.replace("%", ""), ())):
        event = line("text", template, *arguments).partition(" INFO ")[2]
        assert event.isprintable()
        assert "=" not in event or (event.startswith('"') and json.loads(event))
        assert line("text", template, *arguments, start="local: ").isprintable()
        assert "\n" not in line("json", template, *arguments)


def test_a_trace_is_part_of_its_line() -> None:
    try:
        raise ValueError("it\nbroke")
    except ValueError:
        told = line("text", "failed job=%s", "job-1", exc_info=sys.exc_info())
        read = json.loads(line("json", "failed job=%s", "job-1", exc_info=sys.exc_info()))
    assert told.isprintable()
    assert ' failed job=job-1 error="ValueError: it\\nbroke" trace="Traceback (most recent call last)' in told
    assert read["trace"].splitlines()[-2:] == ["ValueError: it", "broke"]


def test_warnings_and_adopted_libraries_come_out_in_the_form_that_is_set() -> None:
    code = """
import logging, sys, warnings
from artifacts.log import adopt, configure_log
noisy = logging.getLogger("noisy")
noisy.addHandler(logging.StreamHandler())
noisy.propagate = False
configure_log("json", common={"part": "api"})
adopt("noisy")
noisy.warning("a line\\nand another")
warnings.warn("old")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = [json.loads(each) for each in done.stderr.splitlines()]
    assert [each["part"] for each in told] == ["api", "api"]
    assert told[0]["event"] == "a line\nand another"
    assert "old" in told[1]["event"]

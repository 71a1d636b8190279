"""Log lines: one event is one line, and values that users choose cannot forge lines or keys."""

import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifacts.log import LineFormatter, get_logger, quote

WORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')


def line(form: str, event: str, *arguments: object, **options: Any) -> str:
    """Return the line for a library's record, or for a record of our logger with `fields`."""
    extra = {"fields": options["fields"]} if "fields" in options else {}
    record = logging.getLogger("any").makeRecord(
        "any", logging.INFO, "file.py", 1, event, arguments, options.get("exc_info"), extra=extra
    )
    return LineFormatter(form, options.get("common"), options.get("start")).format(record)


def removal(group: str = "vision", reason: str | None = "expiredAt has passed") -> dict[str, Any]:
    return {"group": group, "job": "job-1", "files": 3, "seconds": 0.25, "reason": reason}


def pairs(text: str) -> dict[str, str]:
    """Parse the pairs of a text line."""
    matches = WORD.findall(text[text.index(" group=") + 1 :])
    assert "".join(f"{key}={value} " for key, value in matches) == text[text.index(" group=") + 1 :] + " "
    return {key: json.loads(value) if value.startswith('"') else value for key, value in matches}


def test_keyword_arguments_are_the_fields_of_the_line() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    plain = logging.getLogger("tests.fields")
    plain.addHandler(handler)
    try:
        get_logger("tests.fields").warning("artifacts removed", group="vision", name="msg", error=ValueError("a b"))
        get_logger("tests.fields").log(logging.ERROR, "failed")
    finally:
        plain.removeHandler(handler)
    lines = [LineFormatter("text", start="").format(record) for record in records]
    assert lines == ['artifacts removed group=vision name=msg error="a b"', "failed"]
    assert [record.levelname for record in records] == ["WARNING", "ERROR"]


def test_text_line_is_time_level_event_and_pairs() -> None:
    text = line("text", "removed", fields=removal(), common={"part": "api"})
    start, rest = text[:24], text[24:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start)
    assert rest == ' INFO removed part=api group=vision job=job-1 files=3 seconds=0.25 reason="expiredAt has passed"'


def test_json_line_has_the_same_fields_with_typed_numbers() -> None:
    document = json.loads(line("json", "removed", fields=removal(reason=None), common={"part": "api"}))
    del document["time"]
    assert document == {"level": "info", "event": "removed", "part": "api", **removal(reason=None)}


@pytest.mark.parametrize(
    ("text", "quoted"),
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
def test_plain_values_are_unchanged_and_others_are_quoted(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@given(st.text(st.characters(), max_size=50), st.text(st.characters(), max_size=50))
@example("\ud800\u2028", 'x" files=9 job="y')
@example("x" * 2000, "\r\x1b[2Jjob=other")
def test_any_value_can_be_parsed_from_its_line(group: str, reason: str) -> None:
    text = line("text", "removed", fields=removal(group, reason))
    assert text.isprintable()
    expected = {"group": group[:1024], "job": "job-1", "files": "3", "seconds": "0.25", "reason": reason[:1024]}
    assert pairs(text) == expected
    document = json.loads(line("json", "removed", fields=removal(group, reason)))
    assert (document["group"], document["reason"]) == (group[:1024], reason[:1024])


@given(st.text(st.characters(), max_size=50))
@example("job=other")
def test_library_records_are_events_on_one_line_without_pairs(text: str) -> None:
    for template, arguments in (("peer said %s", (text,)), (text.replace("%", ""), ())):
        event = line("text", template, *arguments).partition(" INFO ")[2]
        assert event.isprintable()
        assert "=" not in event or (event.startswith('"') and json.loads(event))
        assert line("text", template, *arguments, start="local: ").isprintable()
        assert "\n" not in line("json", template, *arguments)


def test_traceback_is_part_of_the_line() -> None:
    try:
        raise ValueError("it\nbroke")
    except ValueError:
        text = line("text", "failed", fields={"job": "job-1"}, exc_info=sys.exc_info())
        document = json.loads(line("json", "failed", fields={"job": "job-1"}, exc_info=sys.exc_info()))
    assert text.isprintable()
    assert ' failed job=job-1 error="ValueError: it\\nbroke" trace="Traceback (most recent call last)' in text
    assert document["trace"].splitlines()[-2:] == ["ValueError: it", "broke"]


def test_warnings_and_adopted_libraries_use_the_configured_format() -> None:
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
    documents = [json.loads(text) for text in done.stderr.splitlines()]
    assert [document["part"] for document in documents] == ["api", "api"]
    assert documents[0]["event"] == "a line\nand another"
    assert "old" in documents[1]["event"]

"""Formatting of JSON."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.artifacts.documents import ANY_JSON
from tests.web.artifacts.conftest import Modules

PROPERTY_TEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pretty(modules: Modules, source: str, **options: Any) -> Any:
    return modules.call("json.js", "formatJson", source, options)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1", "1"),
        ("[]", "[]"),
        (" { } \n", "{}"),
        ("[[],{}]", "[\n  [],\n  {}\n]"),
        ('{"a":1,"b":[true,null]}', '{\n  "a": 1,\n  "b": [\n    true,\n    null\n  ]\n}'),
        ('{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'),
        ("12345678901234567890", "12345678901234567890"),
        ("[1.10,1E400,-0.0]", "[\n  1.10,\n  1E400,\n  -0.0\n]"),
        ("[NaN,-Infinity]", "[\n  NaN,\n  -Infinity\n]"),
        (r'"\u00e4\"\\"', r'"\u00e4\"\\"'),
        ('"<img onerror=x>\u202e"', '"<img onerror=x>\u202e"'),
        ('{"__proto__":{"x":1}}', '{\n  "__proto__": {\n    "x": 1\n  }\n}'),
    ],
)
def test_each_value_has_a_line_and_keeps_its_text(modules: Modules, source: str, text: str) -> None:
    assert pretty(modules, source) == {"text": text, "problem": None, "isTruncated": False}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "expected a value at line 1, column 1"),
        ("[1,]", "expected a value at line 1, column 4"),
        ("[1\n 2]", "expected , or ] at line 2, column 2"),
        ('{"a" 1}', "expected : at line 1, column 6"),
        ("{a:1}", "expected a name in double quotes at line 1, column 2"),
        ('{"a":1', "expected , or } at line 1, column 7"),
        ('["x', "unclosed string at line 1, column 4"),
        ('["\\x"]', "invalid string at line 1, column 2"),
        ('["a\nb"]', "invalid string at line 1, column 2"),
        ("[01]", "expected a value at line 1, column 2"),
        ("[1] 2", "unexpected text after the value at line 1, column 5"),
        ("{'a': 1}", "expected a name in double quotes at line 1, column 2"),
        ("]", "expected a value at line 1, column 1"),
    ],
)
def test_syntax_errors_have_a_position(modules: Modules, source: str, problem: str) -> None:
    assert pretty(modules, source)["problem"] == problem


@pytest.mark.parametrize("source", ['{"a": [1, 2', '{"a": "x', '{"a', '{"a":', "[tru", "[1, -", "[", '["x\\'])
def test_the_first_part_of_a_file_can_end_anywhere(modules: Modules, source: str) -> None:
    assert pretty(modules, source, isWhole=False)["problem"] is None
    assert pretty(modules, source)["problem"]


def test_lines_are_limited(modules: Modules) -> None:
    assert pretty(modules, "[1,2,3,4]", maxLines=3) == {"text": "[\n  1,\n  2,", "problem": None, "isTruncated": True}


@given(ANY_JSON.map(lambda value: json.dumps(value, ensure_ascii=False)))
@PROPERTY_TEST
def test_json_written_by_python_keeps_its_value(modules: Modules, source: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in source):
        source = json.dumps(json.loads(source))
    found = pretty(modules, source)
    assert found["problem"] is None
    assert "".join(found["text"].split()) == "".join(source.split())


@given(st.text(alphabet='[]{},:"\\ 1e-.tn', max_size=12))
@PROPERTY_TEST
def test_json_is_valid_if_python_accepts_it(modules: Modules, source: str) -> None:
    try:
        json.loads(source)
        is_right = True
    except ValueError:
        is_right = False
    assert (pretty(modules, source)["problem"] is None) == is_right


@pytest.mark.parametrize(
    "source",
    [
        "[" * 1_000_000,
        "[" * 500_000 + "]" * 500_000,
        '{"a":' * 200_000,
        '"' + "\\" * 1_000_000,
        '"' + '\\"' * 500_000,
        "1" * 1_000_000,
        "[" + "1," * 500_000,
        " " * 1_000_000,
        '["' + "x" * 1_000_000 + '"]',
    ],
    ids=["open", "deep", "objects", "backslashes", "quotes", "digits", "long", "spaces", "text"],
)
def test_hostile_input_is_parsed_quickly(modules: Modules, source: str) -> None:
    began = modules.processor.seconds()
    found = pretty(modules, source)
    assert modules.processor.seconds() - began < 2
    assert len(found["text"]) < 3_000_000

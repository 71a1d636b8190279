"""Parsing of CSV and TSV."""

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.artifacts.conftest import Modules

PROPERTY_TEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def parse(modules: Modules, text: str, **options: Any) -> Any:
    return modules.call("csv.js", "parseCsv", text, options)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r1,2", [["a", "b"], ["1", "2"]]),
        ('"a,b","c\nd\r\ne"\n', [["a,b", "c\nd\r\ne"]]),
        ('"say ""hi""",x\n', [['say "hi"', "x"]]),
        ('"",""\n', [["", ""]]),
        ('""\n', []),
        ("a\n\n\nb\n", [["a"], ["b"]]),
        ("a,\n,\n", [["a", ""], ["", ""]]),
        ("a,b\n1\n1,2,3\n", [["a", "b"], ["1"], ["1", "2", "3"]]),
        ('a,"never closed\nb,c', [["a", "never closed\nb,c"]]),
        ('a,"x"y,z\n', [["a", "xy", "z"]]),
        ('a,x"y",z\n', [["a", 'x"y"', "z"]]),
        (" a , b \n", [[" a ", " b "]]),
        ("ä,<b>,\U0001d56c,\u202egpj\n", [["ä", "<b>", "\U0001d56c", "\u202egpj"]]),
        ("=1+1,@x\n", [["=1+1", "@x"]]),
    ],
)
def test_rows_are_parsed(modules: Modules, text: str, rows: list[list[str]]) -> None:
    found = parse(modules, text)
    assert found["rows"] == rows
    assert found["columns"] == max(map(len, rows), default=0)
    assert (found["hasMoreRows"], found["hasMoreColumns"]) == (False, False)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b;c,d", ","),
        ("a;b;c,5\n1,5;2,5;3,5", ";"),
        ("a\tb,c\td\te", "\t"),
        ("a|b|c", "|"),
        ('"a;b;c;d",x', ","),
        ("one", ","),
        ('"' + ";" * 100, ","),
    ],
)
def test_the_delimiter_is_the_most_frequent_one_in_the_first_line(modules: Modules, text: str, delimiter: str) -> None:
    assert modules.call("csv.js", "guessDelimiter", text) == delimiter


def test_a_given_delimiter_is_not_guessed(modules: Modules) -> None:
    assert parse(modules, "a,b\tc,d\n", delimiter="\t")["rows"] == [["a,b", "c,d"]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [("a,b\n1,2\n3,", [["a", "b"], ["1", "2"]]), ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]), ("a,b", [["a", "b"]])],
)
def test_an_incomplete_last_row_is_dropped(modules: Modules, text: str, rows: list[list[str]]) -> None:
    assert parse(modules, text, isWhole=False)["rows"] == rows


def test_rows_columns_and_fields_are_limited(modules: Modules) -> None:
    found = parse(modules, "\n".join(["x" * 50 + ",b,c"] * 10), maxRows=3, maxColumns=2, maxFieldLength=5)
    assert found == {"rows": [["xxxxx…", "b"]] * 3, "columns": 2, "hasMoreRows": True, "hasMoreColumns": True}


fields = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(',;"\n\r\t|'), max_size=6)


@given(st.lists(st.lists(fields, min_size=2, max_size=4), max_size=6), st.sampled_from(["\n", "\r\n"]))
@PROPERTY_TEST
def test_csv_written_by_python_is_parsed(modules: Modules, rows: list[list[str]], line_end: str) -> None:
    written = io.StringIO()
    # QUOTE_MINIMAL quotes only the line ends of its own kind.
    csv.writer(
        written, lineterminator=line_end, quoting=csv.QUOTE_MINIMAL if "\r" in line_end else csv.QUOTE_ALL
    ).writerows(rows)
    assert parse(modules, written.getvalue(), delimiter=",")["rows"] == rows


@pytest.mark.parametrize(
    "text",
    ['"' * 1_000_001, '"' * 1_000_000, "," * 1_000_000, "\n" * 1_000_000, "x" * 1_000_000, '"a""' * 250_000],
    ids=["quotes, odd", "quotes, even", "commas", "lines", "one field", "quotes within"],
)
def test_hostile_input_is_parsed_quickly(modules: Modules, text: str) -> None:
    began = modules.processor.seconds()
    parse(modules, text)
    assert modules.processor.seconds() - began < 2

"""Random operations, variables and bodies get data or a refusal, never an internal error."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import IntValueNode, StringValueNode, Visitor, print_ast, visit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import Mode
from hypothesis_graphql import strategies as graphql

from api.schema.schema import SCHEMA
from tests.api.schema.graphql_api import Api, artifact_status

SDL = Path(__file__).parents[3] / "api/schema/schema.graphql"
KNOWN = ("job-1", "job-b", "Team_A", "b", "", "a", "/jobArtifacts/job-1", "asc", "desc", "2030-01-01T00:00:00Z")
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))

documents = graphql.from_schema(SDL.read_text(), print_ast=lambda document: document)
wrong_documents = graphql.from_schema(SDL.read_text(), mode=Mode.NEGATIVE)
anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.sampled_from(KNOWN)
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.dictionaries(st.sampled_from(["id", "groupName", "x"]), values)
    ),
    max_leaves=8,
)


class KnownValues(Visitor):
    """Replaces some random values by values that exist."""

    def __init__(self, choices: Iterator[int]) -> None:
        super().__init__()
        self._choices = choices

    def enter_string_value(self, node: StringValueNode, *_: Any) -> StringValueNode | None:
        choice = next(self._choices)
        return StringValueNode(value=KNOWN[choice]) if choice < len(KNOWN) else None

    def enter_int_value(self, node: IntValueNode, *_: Any) -> IntValueNode | None:
        choice = next(self._choices)
        return IntValueNode(value=str(choice)) if choice < len(KNOWN) else None


def repeated(choices: list[int]) -> Iterator[int]:
    while True:
        yield from choices


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One API for all examples, which may change its data."""
    api = Api(tmp_path_factory.mktemp("random") / "phfs")
    api.add_job("job-1", artifact_status=artifact_status())
    api.write_folder("job-1", {"a": b"1", "sub/b": b"22"})
    api.add_job("job-b", group="b")
    return api


def assert_answered(api: Api, body: Any, user: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    status, answer = api.send(json.dumps(body).encode(), user=user)
    assert status in (200, 400), answer
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    assert "INTERNAL_SERVER_ERROR" not in codes
    assert ("data" in answer) == (status == 200)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@QUICK
@given(
    documents,
    st.lists(st.integers(0, 2 * len(KNOWN)), min_size=1, max_size=9),
    st.sampled_from(["alice", "root", "robot"]),
)
def test_valid_operations_never_fail_internally(
    filled: Api, caplog: pytest.LogCaptureFixture, document: Any, choices: list[int], user: str
) -> None:
    text = print_ast(visit(document, KnownValues(repeated(choices))))
    assert_answered(filled, {"query": text}, user, caplog)


@QUICK
@given(wrong_documents)
def test_invalid_operations_never_fail_internally(filled: Api, caplog: pytest.LogCaptureFixture, text: Any) -> None:
    assert_answered(filled, {"query": text}, "alice", caplog)


VARIABLES = """query ($w: PhJobWhereInput, $o: PhJobOrderByInput, $n: Int, $s: String, $a: PhJobArtifactWhereInput!) {
  phJobsConnection(where: $w, orderBy: $o, page: $n, after: $s) { edges { node { id } } }
  phJobArtifact(where: $a) { items { name } itemsConnection(first: $n, after: $s, prefix: $s) { nodes { name } } }
}"""


@QUICK
@given(st.one_of(st.dictionaries(st.sampled_from("wonsa"), anything), anything))
def test_random_variables_never_fail_internally(filled: Api, caplog: pytest.LogCaptureFixture, variables: Any) -> None:
    assert_answered(filled, {"query": VARIABLES, "variables": variables}, "alice", caplog)


@QUICK
@given(st.binary(max_size=40), st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"]))
def test_random_bodies_are_refused(filled: Api, content: bytes, media_type: str) -> None:
    status, answer = filled.send(content, media_type)
    assert status == 400
    assert answer["errors"]


def test_sdl_file_matches_the_schema() -> None:
    assert SDL.read_text() == f"{SCHEMA}\n", "python -m api schema > api/schema/schema.graphql"

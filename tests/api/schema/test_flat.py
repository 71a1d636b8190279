"""The flat execution against the ordinary one: on random selections of random objects they say the same."""

# mypy: allow-subclassing-any

import random
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from graphene import Boolean, Enum, Field, Float, Int, List, NonNull, ObjectType, ResolveInfo, Schema, String
from graphql import ExecutionContext, ExecutionResult, execute, parse, validate
from hypothesis import given, settings

from api.schema.flat import FlatContext
from api.schema.types import Size


class Colour(Enum):
    RED = 1
    BLUE = 2


class Inner(ObjectType):
    """Plain, with one field that may be no null."""

    text = String()
    must = NonNull(String)
    size = Field(Size)


class Row(ObjectType):
    """Plain fields, and such as are not."""

    name = String()
    number = Int()
    real = Float()
    flag = Boolean()
    size = Field(Size)
    colour = Field(Colour)
    must = NonNull(Int)
    inner = Field(Inner)
    sure = Field(NonNull(Inner))
    words = List(String)
    inners = List(Inner)
    resolved = String()
    argued = String(by=Int())

    @staticmethod
    def resolve_resolved(row: Any, _: ResolveInfo) -> str:
        return f"resolved {row.name if not isinstance(row, dict) else row['name']}"


class Query(ObjectType):
    """Lists of every nullability."""

    rows = List(Row)
    sure_rows = Field(NonNull(List(NonNull(Row))))
    nested = List(List(Row))
    words = List(NonNull(String))


SCHEMA = Schema(query=Query).graphql_schema
PLAIN = ("name", "number", "real", "flag", "size", "colour", "must", "words")

texts = st.one_of(st.text(max_size=3), st.none())
odd = st.one_of(
    st.integers(), st.booleans(), st.floats(allow_nan=False), st.binary(max_size=2), st.just(ValueError("x"))
)


def rows(strange: st.SearchStrategy[Any]) -> st.SearchStrategy[SimpleNamespace]:
    """Objects that a Row is made of; `strange`: values that may stand anywhere."""
    inner = st.builds(
        SimpleNamespace,
        text=st.one_of(texts, strange),
        must=st.one_of(st.just("m"), strange),
        size=st.one_of(st.integers(-(2**63), 2**63 - 1), st.none(), strange),
    )
    return st.builds(
        SimpleNamespace,
        name=st.one_of(texts, strange),
        number=st.one_of(st.integers(-(2**31), 2**31 - 1), st.none(), strange),
        real=st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none(), strange),
        flag=st.one_of(st.booleans(), st.none(), strange),
        size=st.one_of(st.integers(-(2**63), 2**63 - 1), st.none(), strange),
        colour=st.one_of(st.sampled_from([1, 2]), st.none(), strange),
        must=st.one_of(st.integers(0, 9), strange),
        inner=st.one_of(inner, st.none(), strange),
        sure=st.one_of(inner, strange),
        words=st.one_of(st.lists(texts, max_size=2), st.none(), strange),
        inners=st.one_of(st.lists(st.one_of(inner, st.none()), max_size=2), st.none(), strange),
        argued=texts,
    )


regular = rows(st.nothing())
dicts: st.SearchStrategy[dict[str, Any]] = st.builds(dict, name=texts, must=st.just(1))
lists = st.one_of(
    st.lists(regular, max_size=4),
    st.lists(st.one_of(regular, st.none()), max_size=4),
    st.lists(st.one_of(regular, rows(st.one_of(odd, st.none())), st.none(), dicts), max_size=4),
)


def selections(depth: int = 0) -> st.SearchStrategy[str]:
    """What is asked of a Row, with aliases, directives, fragments and __typename."""
    fields = st.sampled_from([*PLAIN, "other: name", "name @skip(if: true)", "size @include(if: true)", "__typename"])
    inner = st.sampled_from(["inner { text size }", "sure { must }", "inner { must t: text __typename }", "...F"])
    special = st.sampled_from(["resolved", "argued(by: 1)", "inners { text must }", "... on Row { inner { size } }"])
    return st.lists(st.one_of(fields, fields, inner, special), min_size=1, max_size=5).map(" ".join)


def run(context: type[ExecutionContext], query: str, root: Any) -> Any:
    result = execute(SCHEMA, parse(query), root, execution_context_class=context, is_awaitable=lambda _: False)
    assert isinstance(result, ExecutionResult)
    errors = sorted((error.message, str(error.path), str(error.locations)) for error in result.errors or ())
    return result.data, errors


@settings(max_examples=120, deadline=None)
@given(lists, selections(), st.sampled_from(["rows", "sureRows", "nested"]))
def test_both_executions_say_the_same(values: list[Any], asked: str, field: str) -> None:
    query = f"query {{ {field} {{ {asked} }} }} fragment F on Row {{ number inner {{ text }} }}"
    query = query if "...F" in asked else query.partition(" fragment ")[0]
    if validate(SCHEMA, parse(query)):
        return  # two fields of one name that differ
    root = SimpleNamespace(rows=values, sure_rows=tuple(values), nested=[values, None, values])
    assert repr(run(FlatContext, query, root)) == repr(run(ExecutionContext, query, root))


class Kept(Sequence[Any]):
    """Objects kept by column."""

    def __init__(self, values: list[Any]) -> None:
        self.columns = {name: [getattr(value, name) for value in values] for name in ("name", "number", "inner")}

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, place: Any) -> Any:
        return SimpleNamespace(**{name: column[place] for name, column in self.columns.items()})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(regular, rows(st.one_of(odd, st.none()))), max_size=4),
    st.sampled_from(["name number", "inner { text }", "number __typename n: name", "name argued(by: 1) words"]),
)
def test_objects_that_are_kept_by_column_too(values: list[Any], asked: str) -> None:
    query, root = f"{{ rows {{ {asked} }} }}", SimpleNamespace(rows=Kept(values))
    assert repr(run(FlatContext, query, root)) == repr(run(ExecutionContext, query, root))


@settings(deadline=None)
@given(st.one_of(st.lists(st.one_of(texts, odd)), st.none(), st.just("text"), st.just(5), st.just({1})))
def test_lists_of_leaves_too(words: Any) -> None:
    root = SimpleNamespace(words=words)
    assert run(FlatContext, "{ words }", root) == run(ExecutionContext, "{ words }", root)


def test_a_long_list_is_not_completed_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise this would be the ordinary execution."""
    fields = []
    ordinary = FlatContext.execute_field

    def execute_field(self: FlatContext, *arguments: Any) -> Any:
        fields.append(arguments)
        return ordinary(self, *arguments)

    monkeypatch.setattr(FlatContext, "execute_field", execute_field)
    inner = SimpleNamespace(text="t", must="m", size=2**40)
    root = SimpleNamespace(rows=[SimpleNamespace(name="n", must=1, inner=inner)] * 1000)
    data, errors = run(FlatContext, "{ rows { name must inner { text size } } }", root)
    assert (len(data["rows"]), data["rows"][-1]["inner"], errors) == (1000, {"text": "t", "size": 2**40}, [])
    assert len(fields) == 1


def test_the_schemas_own_lists_are_plain() -> None:
    """A resolver, an argument or a nested list in one of these makes it slow without a word."""
    from api.schema.schema import SCHEMA as OURS  # noqa: PLC0415 - next to what it is about

    plain = {
        "PhJobArtifactItem": "name size lastModified",
        "StoreFile": "name size lastModified",
        "PhJobArtifactNode": "name size lastModified sha256 url downloadUrl",
        "PhJobArtifactEdge": "cursor node",
        "PhJobEdge": "cursor node",
        "PhJob": "id displayName groupName instanceType phase createTime artifact",
        "PhJobArtifact": "state totalCount totalSize expiredAt",
        "PhJobArtifactCandidate": "groupName job due expiredAt why",
    }
    for name, fields in plain.items():
        for field in fields.split():
            resolve = OURS.graphql_schema.type_map[name].fields[field].resolve
            assert isinstance(resolve, partial), (name, field)


def test_values_are_read_in_order_whatever_the_types() -> None:
    random.seed(1)
    values = [SimpleNamespace(name=str(random.random()), must=number) for number in range(100)]
    data, _ = run(FlatContext, "{ sureRows { must name } }", SimpleNamespace(sure_rows=values))
    assert data["sureRows"] == [{"must": row.must, "name": row.name} for row in values]

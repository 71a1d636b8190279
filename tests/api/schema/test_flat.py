"""Compares the flat execution with the ordinary one on random selections of random objects."""

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
    """Plain fields, one of them non-null."""

    text = String()
    must = NonNull(String)
    size = Field(Size)


class Row(ObjectType):
    """Plain fields, and fields that are not plain: lists of objects, arguments, resolvers."""

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
    """Lists with each combination of nullability."""

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
    """Return objects for Row. Every attribute may also have a value of `strange`."""
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
    """Selections of a Row with aliases, directives, fragments and __typename."""
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
def test_flat_execution_equals_ordinary_execution(values: list[Any], selection: str, field: str) -> None:
    query = f"query {{ {field} {{ {selection} }} }} fragment F on Row {{ number inner {{ text }} }}"
    query = query if "...F" in selection else query.partition(" fragment ")[0]
    if validate(SCHEMA, parse(query)):
        return  # two different fields with the same response name
    root = SimpleNamespace(rows=values, sure_rows=tuple(values), nested=[values, None, values])
    assert repr(run(FlatContext, query, root)) == repr(run(ExecutionContext, query, root))


class ColumnList(Sequence[Any]):
    """Objects stored by column."""

    def __init__(self, values: list[Any]) -> None:
        self.columns = {name: [getattr(value, name) for value in values] for name in ("name", "number", "inner")}

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, index: Any) -> Any:
        return SimpleNamespace(**{name: column[index] for name, column in self.columns.items()})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(regular, rows(st.one_of(odd, st.none()))), max_size=4),
    st.sampled_from(["name number", "inner { text }", "number __typename n: name", "name argued(by: 1) words"]),
)
def test_column_tables_equal_ordinary_execution(values: list[Any], selection: str) -> None:
    query, root = f"{{ rows {{ {selection} }} }}", SimpleNamespace(rows=ColumnList(values))
    assert repr(run(FlatContext, query, root)) == repr(run(ExecutionContext, query, root))


@settings(deadline=None)
@given(st.one_of(st.lists(st.one_of(texts, odd)), st.none(), st.just("text"), st.just(5), st.just({1})))
def test_lists_of_leaves_equal_ordinary_execution(words: Any) -> None:
    root = SimpleNamespace(words=words)
    assert run(FlatContext, "{ words }", root) == run(ExecutionContext, "{ words }", root)


def test_long_list_is_completed_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the flat execution always falls back to the ordinary one."""
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


def test_lists_of_the_schema_are_plain() -> None:
    """A resolver, an argument or a nested list in one of these fields would silently make it slow."""
    from api.schema.schema import SCHEMA as API_SCHEMA  # noqa: PLC0415 - this module has a SCHEMA of its own

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
            resolve = API_SCHEMA.graphql_schema.type_map[name].fields[field].resolve
            assert isinstance(resolve, partial), (name, field)


def test_values_keep_their_order() -> None:
    random.seed(1)
    values = [SimpleNamespace(name=str(random.random()), must=number) for number in range(100)]
    data, _ = run(FlatContext, "{ sureRows { must name } }", SimpleNamespace(sure_rows=values))
    assert data["sureRows"] == [{"must": row.must, "name": row.name} for row in values]

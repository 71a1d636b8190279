"""Executes lists of plain objects in one pass instead of field by field.

The ordinary execution makes 36 calls for each leaf. Here a list is completed column by column, if its selection has
only plain fields: attributes without arguments, whose values are leaves or plain objects. Everything else is left to
the ordinary execution, and so are exceptional values (null in a non-null field, a value that its type rejects), because
the ordinary execution reports the right error. So an attribute may be read twice.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from types import NoneType
from typing import Any, Protocol

from graphene.types.resolver import dict_or_attr_resolver
from graphql import (
    ExecutionContext,
    FieldNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
)

from api.schema.types import Size

Column = Sequence[Any]


class ColumnTable(Protocol):
    """A sequence of objects stored by column, so that a long list needs no object per row."""

    columns: Mapping[str, Column]


Completer = Callable[[Column], list[Any]]

# Scalar types whose values need no serialization if they have this Python type.
_UNSERIALIZED_TYPES: dict[object, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool, Size: int}


class _NotPlain(Exception):
    """The list must be left to the ordinary execution."""


class FlatContext(ExecutionContext):
    """An execution context that completes lists of plain objects in one pass."""

    def complete_list_value(
        self, return_type: Any, field_nodes: list[FieldNode], info: Any, path: Any, result: Any
    ) -> Any:
        """Complete the list column by column if it is plain, else item by item."""
        if (isinstance(result, list | tuple) or hasattr(result, "columns")) and not self.middleware_manager:
            complete = self._plan(return_type.of_type, field_nodes)
            if complete is not None:
                try:
                    return complete(result)
                except Exception:  # noqa: BLE001, S110 - the ordinary execution raises the same error and reports it
                    pass
        return super().complete_list_value(return_type, field_nodes, info, path, result)

    def _plan(self, type_: GraphQLOutputType, nodes: list[FieldNode]) -> Completer | None:
        """Return a function that completes a column of this type, or None if the type is not plain."""
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        complete: Completer | None = None
        if isinstance(inner, GraphQLScalarType | GraphQLEnumType):
            unserialized_type = _UNSERIALIZED_TYPES.get(getattr(inner, "graphene_type", inner))
            complete = partial(_complete_leaves, inner.serialize, unserialized_type)
        elif isinstance(inner, GraphQLObjectType) and inner.is_type_of is None:
            complete = self._plan_objects(inner, nodes)
        return partial(_complete_non_null, complete) if complete and inner is not type_ else complete

    def _plan_objects(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> Completer | None:
        columns: dict[str, Completer] = {}
        for response_name, field_nodes in self.collect_subfields(type_, nodes).items():
            name = field_nodes[0].name.value
            if name == "__typename":
                columns[response_name] = partial(_complete_constant, type_.name)
                continue
            field = type_.fields[name]
            attribute, complete = _plain_attribute(field), self._plan(field.type, field_nodes)
            if attribute is None or complete is None:
                return None
            columns[response_name] = partial(_complete_attribute, attribute, complete)
        return partial(_complete_objects, columns)


def _plain_attribute(field: GraphQLField) -> str | None:
    """Return the name of the attribute that the field reads; None if it has arguments or a resolver of its own."""
    resolve = field.resolve
    is_plain = isinstance(resolve, partial) and resolve.func is dict_or_attr_resolver and not field.args
    return resolve.args[0] if is_plain else None  # type: ignore[union-attr]


def _complete_leaves(serialize: Callable[[Any], Any], unserialized_type: type | None, column: Column) -> list[Any]:
    if unserialized_type is not None and _types(column) <= {unserialized_type, NoneType}:
        return list(column)
    completed = [None if value is None else serialize(value) for value in column]
    if completed.count(None) != column.count(None):
        raise _NotPlain
    return completed


def _complete_objects(columns: dict[str, Completer], column: Column) -> list[Any]:
    types = set() if hasattr(column, "columns") else _types(column)
    if any(issubclass(type_, Exception | dict) for type_ in types):
        raise _NotPlain
    present = [value for value in column if value is not None] if NoneType in types else column
    objects: list[dict[str, Any]] = [{} for _ in range(len(present))]
    for response_name, complete in columns.items():
        for object_, value in zip(objects, complete(present), strict=True):
            object_[response_name] = value
    if present is column:
        return objects
    remaining = iter(objects)
    return [None if value is None else next(remaining) for value in column]


def _complete_attribute(name: str, complete: Completer, column: Column) -> list[Any]:
    if hasattr(column, "columns"):
        return complete(column.columns[name])
    return complete(list(map(attrgetter(name), column)))


def _complete_constant(value: Any, column: Column) -> list[Any]:
    return [value] * len(column)


def _complete_non_null(complete: Completer, column: Column) -> list[Any]:
    completed = complete(column)
    if NoneType in _types(completed):
        raise _NotPlain
    return completed


def _types(column: Column) -> set[type]:
    return set(map(type, column))

"""Every field of the schema has a resolver, or an attribute on the object that the parent's resolver returns.

Without either, GraphQL returns null and reports no error. The walk follows the return annotations of resolvers and
properties, so it needs no data.
"""

# mypy: allow-subclassing-any

import types
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import graphene
from graphene.types.resolver import dict_or_attr_resolver
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type

from api.definitions.definition import ImageDefinition, InstanceTypeDefinition
from api.jobs.job import Job
from api.schema.definitions import ImageRow, InstanceTypeRow
from api.schema.jobs import JobNode
from api.schema.schema import SCHEMA

# Classes whose __getattr__ reads an object of another class.
DELEGATES: dict[type, type] = {
    JobNode: Job,
    InstanceTypeRow: InstanceTypeDefinition,
    ImageRow: ImageDefinition,
}


def missing_fields(schema: GraphQLSchema) -> list[str]:
    """Names of the fields that have neither a resolver nor an attribute of the parent object."""
    missing, visited = [], set()
    roots = [root for root in (schema.query_type, schema.mutation_type) if root]
    pending: list[tuple[GraphQLObjectType, type]] = [(root, types.NoneType) for root in roots]
    while pending:
        pair = type_, parent = pending.pop()
        if pair in visited:
            continue
        visited.add(pair)
        for name, field in type_.fields.items():
            try:
                hint = value_hint(parent, field)
            except LookupError:
                missing.append(f"{type_.name}.{name} on {parent.__name__}")
                continue
            child = get_named_type(field.type)
            if isinstance(child, GraphQLObjectType):
                pending += [(child, class_) for class_ in classes_in(hint)]
    reached = {type_ for type_, _ in visited}
    return missing + [
        f"{type_.name} is returned by no annotated resolver"
        for type_ in schema.type_map.values()
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__") and type_ not in reached
    ]


def value_hint(parent: type, field: GraphQLField) -> Any:
    """The annotated type of the field's value. Raises LookupError if neither a resolver nor an attribute exists."""
    resolve = field.resolve
    if not (isinstance(resolve, partial) and resolve.func is dict_or_attr_resolver):
        assert resolve is not None
        return return_hint(resolve)
    return attribute_hint(parent, resolve.args[0])


def attribute_hint(parent: type, name: str) -> Any:
    attribute = getattr(parent, name, None)
    if isinstance(attribute, property):
        assert attribute.fget is not None
        return return_hint(attribute.fget)
    if isinstance(attribute, cached_property):
        return return_hint(attribute.func)
    hints = get_type_hints(parent)
    if name in hints:
        return hints[name]
    if hasattr(parent, name):
        return type(attribute)
    if parent in DELEGATES:
        return attribute_hint(DELEGATES[parent], name)
    raise LookupError(name)


def return_hint(function: Callable[..., Any]) -> Any:
    return get_type_hints(function)["return"]


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of the objects that a value of this type holds: of a union's members, or a sequence's elements."""
    if hint is types.NoneType:
        return
    bases = [base for base in getattr(hint, "__orig_bases__", ()) if get_origin(base) is Sequence]
    if get_origin(hint) in (Union, types.UnionType, list, tuple, Sequence):
        for argument in get_args(hint):
            yield from classes_in(argument)
    elif bases:
        yield from classes_in(bases[0])
    else:
        assert isinstance(hint, type), f"annotate the resolver with a class instead of {hint}"
        yield hint


def test_every_field_has_a_resolver_or_an_attribute() -> None:
    assert missing_fields(SCHEMA.graphql_schema) == []


class Row(NamedTuple):
    there: str


class Table(graphene.ObjectType):
    there = graphene.String()
    absent = graphene.String()


class Orphan(graphene.ObjectType):
    there = graphene.String()


class Root(graphene.ObjectType):
    rows = graphene.List(Table)
    orphan = graphene.Field(Orphan)

    @staticmethod
    def resolve_rows(_: None, info: graphene.ResolveInfo) -> list[Row]:
        return []


def test_a_field_without_both_is_reported() -> None:
    assert missing_fields(graphene.Schema(Root).graphql_schema) == [
        "Root.orphan on NoneType",
        "Table.absent on Row",
        "Orphan is returned by no annotated resolver",
    ]

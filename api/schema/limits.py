"""Limits on one operation: depth, aliases, root fields, and cost, which is the number of rows that it may return.

`check_limits` measures a validated document in one pass, and each fragment once, so a chain of fragments that expands
to millions of fields costs as much as its text. The limits apply to the expanded operation. `check_document_size` runs
before validation, because the specification's rules take quadratic time for repeated fields.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from graphql.execution.execute import get_field_def
from graphql.execution.values import get_argument_values

from api.listing import MAX_FILES, MAX_PAGE_SIZE

MAX_SELECTIONS = 400
MAX_SAME_NAME = 4  # fields with the same response name in one selection set
MAX_FRAGMENTS = 30  # fragment spreads and inline fragments
MAX_DEFINITIONS = 20
MAX_DEPTH = 10
MAX_ALIASES = 30
MAX_ROOT_FIELDS = 10
MAX_COST = 10_000
MAX_INTROSPECTION_DEPTH = 20

# The cost of lists without a page size. Lists that cannot be paged have limits of their own.
DEFAULT_ROWS = {
    ("Query", "phJobs"): 50,
    ("Query", "phJobsConnection"): 10,
    ("Query", "files"): 1000,
    ("PhJobArtifact", "items"): 100,
}
_MAX_ROWS_BY_ARGUMENT = {"first": MAX_PAGE_SIZE, "last": MAX_PAGE_SIZE, "limit": MAX_FILES}
_RECURSIVE_INTROSPECTION_FIELDS = {"fields", "inputFields", "interfaces", "possibleTypes"}


class OperationTooLarge(GraphQLError):
    """The operation or its document exceeds a limit."""


class OperationSize(NamedTuple):
    """The size of an expanded selection set. `recursion` is the nesting of recursive introspection fields."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    cost: int = 0
    recursion: int = 0


@dataclass(frozen=True)
class _TypedSelection:
    type: Any
    selections: SelectionSetNode


def check_document_size(document: DocumentNode) -> None:
    """Raise OperationTooLarge if the document has more selections than clients need. Accepts invalid documents."""
    if len(document.definitions) > MAX_DEFINITIONS:
        raise OperationTooLarge(
            f"the document has {len(document.definitions)} operations and fragments, more than {MAX_DEFINITIONS}: "
            "send fewer at once"
        )
    selections = fragments = 0
    pending = _selection_sets(document.definitions)
    while pending:
        nodes = pending.pop().selections
        names = Counter((node.alias or node.name).value for node in nodes if isinstance(node, FieldNode))
        selections += len(nodes)
        fragments += len(nodes) - names.total()
        if selections > MAX_SELECTIONS or fragments > MAX_FRAGMENTS or max(names.values(), default=0) > MAX_SAME_NAME:
            raise OperationTooLarge(
                f"the document has more than {MAX_SELECTIONS} fields, uses more than {MAX_FRAGMENTS} fragments, "
                f"or selects a field more than {MAX_SAME_NAME} times in one place: request less"
            )
        pending += _selection_sets(nodes)


def check_limits(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> None:
    """Raise OperationTooLarge if the operation with these coerced variables exceeds a limit.

    The document must be valid: all fragments exist and have no cycle.
    """
    size = _OperationMeter(schema, document, variables).measure(operation)
    limits = (
        (size.depth, MAX_DEPTH, "levels of fields"),
        (size.aliases, MAX_ALIASES, "aliases"),
        (size.fields, MAX_ROOT_FIELDS, "root fields"),
        (size.cost, MAX_COST, "rows, counting the pages of all lists"),
    )
    for value, limit, unit in limits:
        if value > limit:
            raise OperationTooLarge(
                f"the operation has {value} {unit}, more than {limit}: request less, or send several requests"
            )


class _OperationMeter:
    """Measures selection sets. A fragment has its own type, so it is measured once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> None:
        self._schema, self._variables = schema, variables
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._fragment_sizes: dict[str, OperationSize] = {}

    def measure(self, operation: OperationDefinitionNode) -> OperationSize:
        root = self._schema.get_root_type(operation.operation)
        if root is None:
            raise OperationTooLarge(
                f"the schema has no {operation.operation.value}: only queries and mutations are supported"
            )
        return self._measure_selections(_TypedSelection(root, operation.selection_set))

    def _measure_selections(self, selection: _TypedSelection) -> OperationSize:
        sizes = [self._measure_selection(selection.type, node) for node in selection.selections.selections]
        return OperationSize(
            depth=max(size.depth for size in sizes),
            fields=sum(size.fields for size in sizes),
            aliases=sum(size.aliases for size in sizes),
            cost=sum(size.cost for size in sizes),
            recursion=max(size.recursion for size in sizes),
        )

    def _measure_selection(self, type_: Any, node: Node) -> OperationSize:
        if isinstance(node, FieldNode):
            return self._measure_field(type_, node)
        if isinstance(node, FragmentSpreadNode):
            return self._measure_fragment(node.name.value)
        assert isinstance(node, InlineFragmentNode)
        if node.type_condition is not None:
            type_ = self._schema.get_type(node.type_condition.name.value)
        return self._measure_selections(_TypedSelection(type_, node.selection_set))

    def _measure_fragment(self, name: str) -> OperationSize:
        if name not in self._fragment_sizes:
            node = self._fragments[name]
            type_ = self._schema.get_type(node.type_condition.name.value)
            self._fragment_sizes[name] = self._measure_selections(_TypedSelection(type_, node.selection_set))
        return self._fragment_sizes[name]

    def _measure_field(self, type_: GraphQLObjectType, node: FieldNode) -> OperationSize:
        name, aliases = node.name.value, int(node.alias is not None)
        field = get_field_def(self._schema, type_, node)
        below = OperationSize()
        if node.selection_set is not None and field is not None:
            below = self._measure_selections(_TypedSelection(get_named_type(field.type), node.selection_set))
        if type_ is self._schema.query_type and name in ("__schema", "__type"):
            return self._measure_introspection(below, aliases)
        rows = self._max_rows(type_, field, node)
        cost = below.cost if rows is None else rows * (1 + below.cost)
        recursion = below.recursion + (type_.name.startswith("__") and name in _RECURSIVE_INTROSPECTION_FIELDS)
        return OperationSize(below.depth + 1, 1, below.aliases + aliases, cost, recursion)

    def _measure_introspection(self, below: OperationSize, aliases: int) -> OperationSize:
        if below.depth > MAX_INTROSPECTION_DEPTH or below.recursion > 1:
            raise OperationTooLarge(
                "the introspection query nests recursive lists, such as fields within fields: query one level at a time"
            )
        return OperationSize(1, 1, below.aliases + aliases)

    def _max_rows(self, type_: GraphQLObjectType, field: GraphQLField | None, node: FieldNode) -> int | None:
        """Return the maximum number of rows in the field's list; None if it is not a list with rows."""
        default = DEFAULT_ROWS.get((type_.name, node.name.value))
        if field is None or not field.args:
            return default
        arguments = get_argument_values(field, node, self._variables)
        return _requested_rows(arguments | (arguments.get("options") or {}), default)


def _requested_rows(arguments: Mapping[str, Any], default: int | None) -> int | None:
    sizes = {name: arguments[name] for name in _MAX_ROWS_BY_ARGUMENT if arguments.get(name)}
    for name, size in sizes.items():
        limit = _MAX_ROWS_BY_ARGUMENT[name]
        if size > limit:
            alternative = "name a folder as phfsPrefix" if name == "limit" else "request the next page afterwards"
            raise OperationTooLarge(f"`{name}` must be {limit} or less, got {size}: {alternative}")
    return max(0, *sizes.values()) if sizes else default


def _selection_sets(nodes: Any) -> list[SelectionSetNode]:
    sets = (getattr(node, "selection_set", None) for node in nodes)
    return [selection_set for selection_set in sets if selection_set]

"""How much one operation may ask for: depth, aliases, root fields, and cost, the sum of the pages it asks for.

One pass over a document that the specification's rules have passed, and over each fragment once: a chain of
fragments that unfolds to millions of fields costs as much as its text. What is counted is what it unfolds to.
`check_shape` looks at the text's own size before those rules do, which take quadratic time for repeated fields.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
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

from api.listing import MOST_FILES, MOST_IN_PAGE

MOST_SELECTIONS = 400
MOST_ALIKE = 4  # fields of one response name in one selection set
MOST_FRAGMENTS = 30  # uses of fragments, named or not
MOST_DEFINITIONS = 20
MOST_DEPTH = 10
MOST_ALIASES = 30
MOST_ROOT_FIELDS = 10
MOST_COST = 10_000
MOST_INTROSPECTION_DEPTH = 20

# What lists count for where no page size is asked for; those without pages have bounds of their own.
DEFAULT_ROWS = {
    ("Query", "phJobs"): 50,
    ("Query", "phJobsConnection"): 10,
    ("Query", "files"): 1000,
    ("PhJobArtifact", "items"): 100,
}
_PAGED = {"first": MOST_IN_PAGE, "last": MOST_IN_PAGE, "limit": MOST_FILES}
_CYCLIC = {"fields", "inputFields", "interfaces", "possibleTypes"}


class TooMuch(GraphQLError):
    """The operation asks for more than is given at once."""


class Measure(NamedTuple):
    """What a selection set unfolds to. `cyclic`: introspection's lists that lead on, within one another."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    cost: int = 0
    cyclic: int = 0


@dataclass(frozen=True)
class _Part:
    """A selection set that belongs to a type."""

    type: Any
    selections: SelectionSetNode


def check_shape(document: DocumentNode) -> None:
    """Raise TooMuch for more selections and definitions than honest clients write. Takes any document."""
    if len(document.definitions) > MOST_DEFINITIONS:
        raise TooMuch(f"the document has more than {MOST_DEFINITIONS} operations and fragments: send fewer at once")
    selections = fragments = 0
    open_sets = [part for part in map(_selection_set, document.definitions) if part]
    while open_sets:
        nodes = open_sets.pop().selections
        selections += len(nodes)
        alike = Counter((node.alias or node.name).value for node in nodes if isinstance(node, FieldNode))
        fragments += len(nodes) - alike.total()
        if selections > MOST_SELECTIONS or fragments > MOST_FRAGMENTS or max(alike.values(), default=0) > MOST_ALIKE:
            raise TooMuch(
                f"the document has more than {MOST_SELECTIONS} fields or {MOST_FRAGMENTS} uses of fragments, "
                "or repeats a field: ask for less"
            )
        open_sets += [part for part in map(_selection_set, nodes) if part]


def check_limits(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> None:
    """Raise TooMuch where the operation, with these coerced variables, asks for too much.

    The document is valid by the specification's rules: its fragments are there and have no cycle.
    """
    measure = _Meter(schema, document, variables).operation(operation)
    bounds = (
        (measure.depth, MOST_DEPTH, "levels of fields"),
        (measure.aliases, MOST_ALIASES, "aliases"),
        (measure.fields, MOST_ROOT_FIELDS, "fields at its root"),
        (measure.cost, MOST_COST, "rows, counting the pages of all lists"),
    )
    for value, most, what in bounds:
        if value > most:
            raise TooMuch(f"the operation asks for more than {most} {what}: ask for less, or in several requests")


class _Meter:
    """Measures selection sets. Fragments are measured once: their type is their own."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> None:
        self._schema, self._variables = schema, variables
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Measure] = {}

    def operation(self, operation: OperationDefinitionNode) -> Measure:
        root = self._schema.get_root_type(operation.operation)
        if root is None:
            raise TooMuch(f"there is no {operation.operation.value} here: send a query or a mutation")
        return self._selections(_Part(root, operation.selection_set))

    def _selections(self, part: _Part) -> Measure:
        measures = [self._selection(part.type, node) for node in part.selections.selections]
        return Measure(
            depth=max(measure.depth for measure in measures),
            fields=sum(measure.fields for measure in measures),
            aliases=sum(measure.aliases for measure in measures),
            cost=sum(measure.cost for measure in measures),
            cyclic=max(measure.cyclic for measure in measures),
        )

    def _selection(self, type_: Any, node: Node) -> Measure:
        if isinstance(node, FieldNode):
            return self._field(type_, node)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        assert isinstance(node, InlineFragmentNode)
        if node.type_condition is not None:
            type_ = self._schema.get_type(node.type_condition.name.value)
        return self._selections(_Part(type_, node.selection_set))

    def _fragment(self, name: str) -> Measure:
        if name not in self._known:
            node = self._fragments[name]
            type_ = self._schema.get_type(node.type_condition.name.value)
            self._known[name] = self._selections(_Part(type_, node.selection_set))
        return self._known[name]

    def _field(self, type_: GraphQLObjectType, node: FieldNode) -> Measure:
        name, aliases = node.name.value, int(node.alias is not None)
        field = get_field_def(self._schema, type_, node)
        below = Measure()
        if node.selection_set is not None and field is not None:
            below = self._selections(_Part(get_named_type(field.type), node.selection_set))
        if type_ is self._schema.query_type and name in ("__schema", "__type"):
            return self._introspection(below, aliases)
        size = self._page_size(type_, field, node)
        cost = below.cost if size is None else size * (1 + below.cost)
        cyclic = below.cyclic + (type_.name.startswith("__") and name in _CYCLIC)
        return Measure(below.depth + 1, 1, below.aliases + aliases, cost, cyclic)

    def _introspection(self, below: Measure, aliases: int) -> Measure:
        if below.depth > MOST_INTROSPECTION_DEPTH or below.cyclic > 1:
            raise TooMuch("the operation asks the schema for lists within lists of itself: ask for them one by one")
        return Measure(1, 1, below.aliases + aliases)

    def _page_size(self, type_: GraphQLObjectType, field: Any, node: FieldNode) -> int | None:
        """How many rows the field gives at most; None where it is no list with rows."""
        usual = DEFAULT_ROWS.get((type_.name, node.name.value))
        if field is None or not field.args:
            return usual
        arguments = get_argument_values(field, node, self._variables)
        arguments |= arguments.get("options") or {}
        sizes = {name: arguments[name] for name in _PAGED if arguments.get(name)}
        for name, size in sizes.items():
            if size > _PAGED[name]:
                instead = "name a folder as phfsPrefix" if name == "limit" else "ask for the next page after that"
                raise TooMuch(f"{name} may be {_PAGED[name]} at most: {instead}")
        return max(0, *sizes.values()) if sizes else usual


def _selection_set(node: Node) -> SelectionSetNode | None:
    return getattr(node, "selection_set", None)

"""Documents that may be executed: parsed and validated once, kept by their text."""

from functools import lru_cache

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)

from api.schema.limits import check_shape

MOST_TOKENS = 2000
_MOST_KEPT = 128
_MOST_ERRORS = 10


class Invalid(Exception):
    """The document cannot be executed: `errors` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Documents:
    """Reads documents for `schema`; `introspection`: whether they may ask for it."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema, self._introspection = schema, introspection
        self._rules = (*specified_rules, *(() if introspection else (NoSchemaIntrospectionCustomRule,)))
        self._read = lru_cache(maxsize=_MOST_KEPT)(self._read_anew)  # keeps no refusals, and may be shared by threads

    def read(self, text: str) -> DocumentNode:
        """The document, valid by the specification's rules. Raises Invalid, or GraphQLError where it is too large."""
        return self._read(text)

    def _read_anew(self, text: str) -> DocumentNode:
        document = parse(text, max_tokens=MOST_TOKENS)
        check_shape(document)
        errors = validate(
            self._schema, document, self._rules, max_errors=_MOST_ERRORS, hide_suggestions=not self._introspection
        )
        if errors:
            raise Invalid(errors)
        return document


def chosen_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """The operation of that name, or the only one. Raises GraphQLError."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    found = [node for node in operations if name is None or (node.name is not None and node.name.value == name)]
    if len(found) != 1:
        raise GraphQLError(
            "operationName names no operation of the document"
            if name
            else "send operationName too: the document has several operations or none"
        )
    return found[0]

"""Parses and validates GraphQL documents, and caches the valid ones by their text."""

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

from api.schema.limits import check_document_size

MAX_TOKENS = 2000
_MAX_CACHED = 128
_MAX_ERRORS = 10


class ValidationFailed(Exception):
    """The document or its variables are invalid. `errors` are the reasons."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class DocumentCache:
    """Valid documents of `schema`. `introspection` is whether clients may query the schema."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema, self._introspection = schema, introspection
        self._rules = (*specified_rules, *(() if introspection else (NoSchemaIntrospectionCustomRule,)))
        self._parse_cached = lru_cache(maxsize=_MAX_CACHED)(self._parse)  # thread-safe; does not cache exceptions

    def get(self, text: str) -> DocumentNode:
        """Return the valid document. Raises ValidationFailed, or GraphQLError if it is malformed or too large."""
        return self._parse_cached(text)

    def _parse(self, text: str) -> DocumentNode:
        document = parse(text, max_tokens=MAX_TOKENS)
        check_document_size(document)
        errors = validate(
            self._schema, document, self._rules, max_errors=_MAX_ERRORS, hide_suggestions=not self._introspection
        )
        if errors:
            raise ValidationFailed(errors)
        return document


def select_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """Return the operation of that name, or the only one if `name` is None. Raises GraphQLError."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    matching = [node for node in operations if name is None or (node.name is not None and node.name.value == name)]
    if len(matching) != 1:
        raise GraphQLError(
            f"the document has no operation named {name[:80]!r}: send one of its names as `operationName`"
            if name
            else f"the document has {len(operations)} operations: send `operationName` to select one of several"
        )
    return matching[0]

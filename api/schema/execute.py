"""Executes a GraphQL request: gets the document, checks the limits, runs the operation."""

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType, execute
from graphql.execution.values import get_variable_values

from api.schema.context import RequestContext
from api.schema.documents import DocumentCache, ValidationFailed, select_operation
from api.schema.errors import document_error, field_error
from api.schema.flat import FlatContext
from api.schema.limits import check_limits
from api.schema.request import GraphQLRequest

_MAX_VARIABLE_ERRORS = 10


@dataclass(frozen=True)
class GraphQLResponse:
    """The outcome of a request.

    `kind` is query, mutation or refused, for the metrics. `errors` are the fields' errors, or the reasons for refusing
    the request.
    """

    kind: str
    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class Executor:
    """Executes operations of `schema`. `introspection` is whether clients may query the schema."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema, self._documents = schema, DocumentCache(schema, introspection)
        self._hide_suggestions = not introspection

    def execute(self, request: GraphQLRequest, context: RequestContext) -> GraphQLResponse:
        """Execute the request, or refuse it if the document is invalid or exceeds a limit."""
        try:
            document = self._documents.get(request.query)
            operation = select_operation(document, request.operation_name)
            check_limits(self._schema, document, operation, self._coerce_variables(operation, request.variables))
        except ValidationFailed as failed:
            return GraphQLResponse("refused", errors=[document_error(error) for error in failed.errors])
        except GraphQLError as error:
            return GraphQLResponse("refused", errors=[document_error(error)])
        except RecursionError:
            return GraphQLResponse("refused", errors=[document_error(GraphQLError("the query is nested too deeply"))])
        result = execute(
            self._schema,
            document,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            execution_context_class=FlatContext,
            is_awaitable=_never_awaitable,
            hide_suggestions=self._hide_suggestions,
        )
        kind = "mutation" if operation.operation is OperationType.MUTATION else "query"
        return GraphQLResponse(kind, result.data, [field_error(error) for error in result.errors or ()])  # type: ignore[union-attr]

    def _coerce_variables(self, operation: OperationDefinitionNode, variables: dict[str, Any]) -> dict[str, Any]:
        coerced = get_variable_values(
            self._schema,
            operation.variable_definitions or (),
            variables,
            _MAX_VARIABLE_ERRORS,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(coerced, list):
            raise ValidationFailed(coerced)
        return coerced


def _never_awaitable(_: Any) -> bool:
    """Return False, as no resolver of the schema is asynchronous."""
    return False

"""From what is asked to the answer: document, limits, execution."""

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationType, execute
from graphql.execution.values import get_variable_values

from api.schema.body import Asked
from api.schema.documents import Documents, Invalid, chosen_operation
from api.schema.failures import failure, invalid
from api.schema.flat import FlatContext
from api.schema.limits import check_limits
from api.schema.request import Request


@dataclass(frozen=True)
class Answer:
    """`kind`: query, mutation or refused, for the metrics. `errors`: of fields, or why nothing was executed."""

    kind: str
    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class Executor:
    """Executes operations of `schema`. `introspection`: whether it may be asked for."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema, self._documents = schema, Documents(schema, introspection)
        self._hide_suggestions = not introspection

    def execute(self, asked: Asked, request: Request) -> Answer:
        """The answer to the operation, or what is wrong with it."""
        try:
            document = self._documents.read(asked.query)
            operation = chosen_operation(document, asked.operation)
            variables = self._variables(operation, asked.variables)
            check_limits(self._schema, document, operation, variables)
        except Invalid as error:
            return Answer("refused", errors=[invalid(each) for each in error.errors])
        except GraphQLError as error:
            return Answer("refused", errors=[invalid(error)])
        except RecursionError:
            return Answer("refused", errors=[invalid(GraphQLError("the request is nested too deeply"))])
        result = execute(
            self._schema,
            document,
            context_value=request,
            variable_values=asked.variables,
            operation_name=asked.operation,
            execution_context_class=FlatContext,
            is_awaitable=_never,
            hide_suggestions=self._hide_suggestions,
        )
        kind = "mutation" if operation.operation is OperationType.MUTATION else "query"
        return Answer(kind, result.data, [failure(error) for error in result.errors or ()])  # type: ignore[union-attr]

    def _variables(self, operation: Any, given: dict[str, Any]) -> dict[str, Any]:
        coerced = get_variable_values(
            self._schema, operation.variable_definitions or (), given, 10, hide_suggestions=self._hide_suggestions
        )
        if isinstance(coerced, list):
            raise Invalid(coerced)
        return coerced


def _never(_: Any) -> bool:
    """No resolver here is asynchronous."""
    return False

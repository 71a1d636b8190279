"""GraphQL over HTTP: `POST /api/graphql`."""

import json
import time
from collections.abc import Callable
from typing import Any

import flask
import orjson
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api.auth.caller import Caller
from api.errors import ApiError, BadInput, NotAuthenticated, TooLarge
from api.schema.context import RequestContext
from api.schema.errors import internal_error, request_error
from api.schema.execute import Executor, GraphQLResponse
from api.schema.request import MAX_BODY_BYTES, parse_request
from api.schema.schema import SCHEMA
from api.services import Services
from api.usage import UsageCache

GRAPHQL_PATH = "/api/graphql"


def graphql_blueprint(services: Services, authenticate: Callable[[], Caller]) -> flask.Blueprint:
    """Create the endpoint. `authenticate` returns the caller of the current request, or raises NotAuthenticated.

    The status is 200 if an operation was executed, even if fields have errors, and 4xx if it was refused.
    """
    blueprint = flask.Blueprint("graphql", __name__)
    executor = Executor(SCHEMA.graphql_schema, services.settings.introspection)
    usage = UsageCache(services.store, services.clock, time.monotonic)

    def execute() -> tuple[GraphQLResponse, int]:
        try:
            context = RequestContext(authenticate(), services, usage)
            result = executor.execute(parse_request(_read_body(), flask.request.mimetype), context)
            return result, 400 if result.kind == "refused" else 200
        except ApiError as error:
            return GraphQLResponse("refused", errors=[request_error(error)]), error.status
        except Exception as error:  # noqa: BLE001 - internal_error logs the traceback
            return GraphQLResponse("refused", errors=[internal_error(error)]), 500

    @blueprint.post(GRAPHQL_PATH)
    def graphql() -> flask.Response:
        started = time.perf_counter()
        result, status = execute()
        response = _http_response(result, status)
        services.metrics.graphql_seconds.labels(result.kind).observe(time.perf_counter() - started)
        for error in result.errors:
            services.metrics.count_error(error["extensions"]["code"])
        return response

    return blueprint


def _read_body() -> bytes:
    """Read the body, at most one byte more than allowed. Raises BadInput and TooLarge.

    The limit is one byte higher for Flask, which silently truncates a body without Content-Length at its limit.
    """
    flask.request.max_content_length = MAX_BODY_BYTES + 1
    try:
        content = flask.request.get_data(cache=False)
        if len(content) <= MAX_BODY_BYTES:
            return content
    except RequestEntityTooLarge:
        pass
    except HTTPException as error:
        raise BadInput("the body of the request cannot be read") from error
    raise TooLarge(f"the body of the request is larger than {MAX_BODY_BYTES} bytes: request less at once")


def _http_response(result: GraphQLResponse, status: int) -> flask.Response:
    body: dict[str, Any] = {"errors": result.errors} if result.errors else {}
    if result.kind != "refused":
        body["data"] = result.data
    response = flask.Response(_encode(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if status == NotAuthenticated.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a PhJob's field has a lone surrogate, which UTF-8 cannot encode; json escapes it
        return json.dumps(body).encode()

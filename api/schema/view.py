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
from api.schema.body import MOST_BYTES, read_body
from api.schema.execute import Answer, Executor
from api.schema.failures import refusal, unexpected
from api.schema.request import Request
from api.schema.schema import SCHEMA
from api.services import Services
from api.usage import Usage
from artifacts.log import get_logger

logger = get_logger(__name__)

GRAPHQL_PATH = "/api/graphql"


def graphql_blueprint(services: Services, authenticate: Callable[[], Caller]) -> flask.Blueprint:
    """The endpoint. `authenticate` tells who sends the current request; raises NotAuthenticated.

    An operation that was executed is answered with 200, whatever errors its fields met; one that cannot be, with 4xx.
    """
    blueprint = flask.Blueprint("graphql", __name__)
    executor = Executor(SCHEMA.graphql_schema, services.settings.introspection)
    usage = Usage(services.store, services.clock, time.monotonic)

    def answer() -> tuple[Answer, int]:
        try:
            request = Request(authenticate(), services, usage)
            asked = read_body(_content(), flask.request.mimetype)
            given = executor.execute(asked, request)
            return given, 400 if given.kind == "refused" else 200
        except ApiError as error:
            return Answer("refused", errors=[refusal(error)]), error.status
        except Exception as error:  # noqa: BLE001 - its trace goes to the log
            return Answer("refused", errors=[unexpected(error)]), 500

    @blueprint.post(GRAPHQL_PATH)
    def graphql() -> flask.Response:
        begun = time.perf_counter()
        given, status = answer()
        response = _response(given, status)
        services.metrics.graphql_seconds.labels(given.kind).observe(time.perf_counter() - begun)
        for error in given.errors:
            services.metrics.count_error(error["extensions"]["code"])
        return response

    return blueprint


def _content() -> bytes:
    """The body, of which no more is read than is taken. Of one whose length is not told, Flask would drop the rest."""
    flask.request.max_content_length = MOST_BYTES + 1
    try:
        content = flask.request.get_data(cache=False)
        if len(content) <= MOST_BYTES:
            return content
    except RequestEntityTooLarge:
        pass
    except HTTPException as error:
        raise BadInput("the request's body cannot be read") from error
    raise TooLarge(f"the request is larger than {MOST_BYTES} bytes: ask for less in one")


def _response(given: Answer, status: int) -> flask.Response:
    document: dict[str, Any] = {"errors": given.errors} if given.errors else {}
    if given.kind != "refused":
        document["data"] = given.data
    response = flask.Response(_encode(document), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if status == NotAuthenticated.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _encode(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # half a character, as a PhJob's fields may hold it: as an escape it can be said
        return json.dumps(document).encode()

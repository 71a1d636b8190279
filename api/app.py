"""The Flask application: all blueprints, and the handlers that format every error."""

import re
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import flask
from werkzeug.exceptions import HTTPException

from api.auth.browser import protect
from api.auth.links import SIGNATURE_PARAMETER
from api.auth.login_state import LoginStateSigner
from api.auth.origins import Origins
from api.auth.request import request_authenticator
from api.auth.signin import make_sign_in
from api.auth.tokens import Authenticators
from api.errors import ApiError, NotAuthenticated, error_body, from_store_error
from api.files.target import ROOT
from api.files.view import files_blueprint
from api.health import health_blueprint
from api.schema.errors import error_response
from api.schema.view import GRAPHQL_PATH, graphql_blueprint
from api.services import Services
from api.web.error_page import HOME, accepts_html, error_page
from api.web.session import SessionConfig, session_blueprint
from api.web.signin import CALLBACK, signin_blueprint
from api.web.view import page_blueprint
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

ErrorResponse = tuple[flask.Response, int]

_COUNT_ERROR = "count_error"
_DOWNLOAD = re.compile(re.escape(ROOT) + r"groups/[^/]+/jobArtifacts/([^/]+)/")
_SIGN_IN_FIRST = "open the file from the job's page; you may have to sign in first"
_NO_SUCH_PAGE = "check the address for typing errors or missing parts"
_NO_SUCH_PATH = "there is nothing at this path; GraphQL is at /api/graphql, downloads are below /api/files/"


def create_app(services: Services, authenticators: Authenticators, is_local: bool = False) -> flask.Flask:
    """Return the application. `is_local`: local mode, in which the service runs jobs on this machine."""
    settings = services.settings
    origins = Origins(settings.listen, settings.origin, settings.cors_origins)
    authenticate = request_authenticator(authenticators, origins, authenticators.anonymous)
    app = flask.Flask("api", static_folder=None)
    protect(app, origins)
    app.register_blueprint(graphql_blueprint(services, authenticate))
    app.register_blueprint(files_blueprint(services, authenticate))
    app.register_blueprint(health_blueprint(services))
    for blueprint in _web_blueprints(services, authenticators, origins, is_local):
        app.register_blueprint(blueprint)
    app.extensions[_COUNT_ERROR] = services.metrics.count_error
    app.register_error_handler(ApiError, _handle_api_error)
    app.register_error_handler(StoreError, _handle_store_error)
    app.register_error_handler(HTTPException, _handle_http_error)
    app.register_error_handler(Exception, _handle_unexpected_error)
    return app


def _web_blueprints(
    services: Services, authenticators: Authenticators, origins: Origins, is_local: bool
) -> Iterator[flask.Blueprint]:
    settings, clock = services.settings, services.clock
    sign_in = make_sign_in(settings, CALLBACK)
    yield page_blueprint()
    yield session_blueprint(SessionConfig(authenticators, origins, sign_in, is_local, clock))
    if sign_in:
        yield signin_blueprint(sign_in, LoginStateSigner(settings.link_key, clock), authenticators, origins.has_tls)


def _error_response(status: int, code: str, message: str) -> ErrorResponse:
    """Return the error in the form that the client expects, and count it.

    The forms: HTML if a browser follows a download link, GraphQL's JSON for GraphQL requests, otherwise REST's JSON.
    Errors of the probes are not counted, as the probes are requested every few seconds.
    """
    if flask.request.blueprint != "health":
        flask.current_app.extensions[_COUNT_ERROR](code)
    if (match := _DOWNLOAD.match(flask.request.path)) and accepts_html():
        job_link = (f"/jobs/{quote(match[1])}/artifacts", "The job's artifacts")
        is_unsigned = status == NotAuthenticated.status and SIGNATURE_PARAMETER not in flask.request.args
        text = _SIGN_IN_FIRST if is_unsigned else message
        return error_page(status, "The file cannot be shown", text, [job_link, HOME]), status
    is_graphql = flask.request.path == GRAPHQL_PATH
    return flask.jsonify(error_response(code, message) if is_graphql else error_body(status, code, message)), status


def _handle_api_error(error: ApiError) -> ErrorResponse:
    return _error_response(error.status, error.code, str(error))


def _handle_store_error(error: StoreError) -> ErrorResponse:
    return _handle_api_error(from_store_error(error))


def _handle_http_error(error: HTTPException) -> ErrorResponse:
    status = error.code or 500
    code = (error.name or "error").upper().replace(" ", "_")
    if status == 404 and accepts_html():
        return error_page(404, "Page not found", _NO_SUCH_PAGE), 404
    message = _NO_SUCH_PATH if status == 404 else error.description or error.name
    response, _ = _error_response(status, code, message)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response, status


def _handle_unexpected_error(error: Exception) -> ErrorResponse:
    """Return only a random id; the log has the traceback under this id."""
    error_id = secrets.token_hex(8)
    logger.error("request failed", error_id=error_id, path=flask.request.path, exc_info=error)
    return _error_response(
        500, ApiError.code, f"internal error: the service's log has the details under the id {error_id}"
    )

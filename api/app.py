"""The Flask application: the parts' blueprints, the probes, `/metrics`, and one form for whatever goes wrong."""

import re
import secrets
from urllib.parse import quote

import flask
from werkzeug.exceptions import HTTPException

from api.auth.browser import protect
from api.auth.links import SIGNATURE_PARAMETER
from api.auth.origins import Origins
from api.auth.request import request_caller
from api.auth.tokens import Authenticators
from api.errors import ApiError, NotAuthenticated, ServiceUnavailable, error_body
from api.files.target import ROOT
from api.files.view import files_blueprint
from api.health import health_blueprint
from api.schema.errors import error_response
from api.schema.view import GRAPHQL_PATH, graphql_blueprint
from api.services import Services
from api.web.compose import web_blueprints
from api.web.plain import START, plain_page, wants_page
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

Answer = tuple[flask.Response, int]

_COUNT = "count_error"
_FILE = re.compile(re.escape(ROOT) + r"groups/[^/]+/jobArtifacts/([^/]+)/")
_SIGN_IN = "it opens from the job's page, where you may have to sign in first"
_NO_PAGE = "the address may be mistyped, or shortened when it was copied"
_ABSENT = "there is nothing at this address: GraphQL is at /api/graphql, downloads are below /api/files/"


def create_app(services: Services, authenticators: Authenticators, is_local: bool = False) -> flask.Flask:
    """The service over its parts. `authenticators` tell who sends a request; `is_local`: it runs what it is asked to
    on this machine."""
    settings = services.settings
    origins = Origins(settings.listen, settings.origin, settings.cors_origins)
    authenticate = request_caller(authenticators, origins, authenticators.anonymous)
    app = flask.Flask("api", static_folder=None)
    protect(app, origins)
    app.register_blueprint(graphql_blueprint(services, authenticate))
    app.register_blueprint(files_blueprint(services, authenticate))
    app.register_blueprint(health_blueprint(services))
    for blueprint in web_blueprints(services, authenticators, origins, is_local):
        app.register_blueprint(blueprint)
    app.extensions[_COUNT] = services.metrics.count_error
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(StoreError, _store_failed)
    app.register_error_handler(HTTPException, _not_served)
    app.register_error_handler(Exception, _failed)
    return app


def _told(status: int, code: str, message: str) -> Answer:
    """The one form of errors; GraphQL's where that was asked, whatever refused it, and a page to who follows a link.
    All are counted but the probes', which are asked again and again."""
    if flask.request.blueprint != "health":
        flask.current_app.extensions[_COUNT](code)
    if (match := _FILE.match(flask.request.path)) and wants_page():
        job = (f"/jobs/{quote(match[1])}/artifacts", "The job's artifacts")
        is_ours = status == NotAuthenticated.status and SIGNATURE_PARAMETER not in flask.request.args
        return plain_page(status, "This cannot be shown", _SIGN_IN if is_ours else message, [job, START]), status
    is_graphql = flask.request.path == GRAPHQL_PATH
    return flask.jsonify(error_response(code, message) if is_graphql else error_body(status, code, message)), status


def _refused(error: ApiError) -> Answer:
    return _told(error.status, error.code, str(error))


def _store_failed(error: StoreError) -> Answer:
    logger.warning("store failed", error=error)
    return _refused(ServiceUnavailable("the store does not answer as it should; try again in a while"))


def _not_served(error: HTTPException) -> Answer:
    status = error.code or 500
    code = (error.name or "error").upper().replace(" ", "_")
    if status == 404 and wants_page():
        return plain_page(404, "There is no such page", _NO_PAGE), 404
    message = _ABSENT if status == 404 else error.description or error.name
    response, _ = _told(status, code, message)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response, status


def _failed(error: Exception) -> Answer:
    """What nobody thought of: told by a number that leads to its trace in the log, and by nothing else."""
    number = secrets.token_hex(8)
    logger.error("request failed", number=number, path=flask.request.path, exc_info=error)
    return _told(500, ApiError.code, f"something went wrong here; in the log it is {number}")

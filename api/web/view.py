"""Serves the page: one HTML document for all of its addresses, and its static files.

The document is the same for all users; its script requests the content from the API.
"""

import re
from pathlib import PurePosixPath

import flask
from werkzeug.exceptions import NotFound

from api.web.assets import CONTENT_TYPES, FOLDER, Assets
from api.web.error_page import PAGE_HEADERS

_VERSION = re.compile(r"v[0-9a-f]{16}")
_IMMUTABLE = "public, max-age=31536000, immutable"


def page_blueprint() -> flask.Blueprint:
    """`/`, `/jobs`, `/jobs/<id>`, `/jobs/<id>/artifacts`, and `/static/`. None of them requires a token."""
    blueprint = flask.Blueprint("page", __name__)
    assets = Assets()

    @blueprint.get("/")
    @blueprint.get("/jobs", strict_slashes=False)
    @blueprint.get("/jobs/<job>", strict_slashes=False)
    @blueprint.get("/jobs/<job>/artifacts", strict_slashes=False)
    def page(job: str = "") -> flask.Response:
        response = flask.Response(assets.shell(), content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)
        response.add_etag()
        response.make_conditional(flask.request)
        return response

    @blueprint.get("/static/<path:name>", merge_slashes=False)
    def file(name: str) -> flask.Response:
        version, _, rest = name.partition("/")
        is_versioned = bool(_VERSION.fullmatch(version))
        path = rest if is_versioned else name
        content_type = CONTENT_TYPES.get(PurePosixPath(path).suffix)
        if content_type is None:
            raise NotFound
        response = flask.send_from_directory(FOLDER, path, mimetype=content_type)
        # While replicas are being replaced, a browser may request another version: it gets this one, uncached.
        is_current = is_versioned and version == assets.version()
        response.headers["Cache-Control"] = _IMMUTABLE if is_current else "no-cache"
        return response

    return blueprint

"""The page's addresses, all of which are one document, and the files that it is made of.

What an address shows is asked of the API by the page's script: the document is the same for everybody.
"""

import re
from pathlib import PurePosixPath

import flask
from werkzeug.exceptions import NotFound

from api.web.assets import FOLDER, TYPES, Assets
from api.web.headers import PAGE

_VERSION = re.compile(r"v[0-9a-f]{16}")
_FOR_EVER = "public, max-age=31536000, immutable"


def page_blueprint() -> flask.Blueprint:
    """`/`, `/jobs`, `/jobs/<id>`, `/jobs/<id>/artifacts`, and `/static/`. No address needs a token."""
    blueprint = flask.Blueprint("page", __name__)
    assets = Assets()

    @blueprint.get("/")
    @blueprint.get("/jobs", strict_slashes=False)
    @blueprint.get("/jobs/<job>", strict_slashes=False)
    @blueprint.get("/jobs/<job>/artifacts", strict_slashes=False)
    def page(job: str = "") -> flask.Response:
        response = flask.Response(assets.shell(), content_type="text/html; charset=utf-8", headers=PAGE)
        response.add_etag()
        response.make_conditional(flask.request)
        return response

    @blueprint.get("/static/<path:name>", merge_slashes=False)
    def file(name: str) -> flask.Response:
        version, _, rest = name.partition("/")
        is_versioned = bool(_VERSION.fullmatch(version))
        path = rest if is_versioned else name
        kind = TYPES.get(PurePosixPath(path).suffix)
        if kind is None:
            raise NotFound
        response = flask.send_from_directory(FOLDER, path, mimetype=kind)
        # Of another version, as while replicas are being replaced: what there is now, for now.
        lasts = is_versioned and version == assets.version()
        response.headers["Cache-Control"] = _FOR_EVER if lasts else "no-cache"
        return response

    return blueprint

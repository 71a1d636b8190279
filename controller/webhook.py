"""The webhook: every pod of a PhJob on its way to the API server comes by here. Stateless.

It fails open: whatever goes wrong here, the pod passes unchanged, with a warning, a log line and a count. What is
logged of a pod is its name and its group, never the message of an error that may quote more of it.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from artifacts.log import Fields, get_logger
from controller.inject.facts import Facts
from controller.inject.injection import inject
from controller.inject.pod import GROUP_LABEL
from controller.metrics import WebhookMetrics, expose
from controller.patch import make_patch
from controller.review import BadReview, Request, answer, read_review
from controller.settings import Settings

logger = get_logger(__name__)

MAX_BYTES = 8 * 1024 * 1024  # the API server takes objects of 3 MiB, which JSON may spell longer
_FAILED = "artifacts will not be collected: the collector's webhook failed; its log says more"

Answer = dict[str, Any] | tuple[dict[str, Any], int]


def create_app(
    settings: Settings, facts: Callable[[], Facts], metrics: WebhookMetrics, problem: Callable[[], str]
) -> flask.Flask:
    """The service. `problem` says why it cannot serve yet, or ""."""
    app = flask.Flask("webhook", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES

    @app.post("/inject")
    def inject_sidecar() -> Answer:
        with metrics.seconds.time():
            try:
                request = _read_request()
            except (BadReview, RequestEntityTooLarge) as error:
                metrics.requests.labels("refused").inc()
                return {"error": {"status": 400, "message": _refusal(error)}}, 400
            return _reviewed(request, settings, facts, metrics)

    @app.get("/healthz")
    def healthz() -> flask.Response:
        return _text("ok\n")

    @app.get("/readyz")
    def readyz() -> flask.Response:
        said = problem()
        return _text(f"{said}\n", 503) if said else _text("ok\n")

    @app.get("/metrics")
    def show_metrics() -> flask.Response:
        text, content_type = expose(metrics.registry, flask.request.headers.get("Accept", ""))
        return flask.Response(text, content_type=content_type)

    return app


def _read_request() -> Request:
    if flask.request.mimetype != "application/json":
        raise BadReview("send the review as application/json")
    return read_review(flask.request.get_data())


def _refusal(error: Exception) -> str:
    return str(error) if isinstance(error, BadReview) else f"the review is larger than {MAX_BYTES} bytes"


def _reviewed(
    request: Request, settings: Settings, facts: Callable[[], Facts], metrics: WebhookMetrics
) -> dict[str, Any]:
    if request.pod is None:
        metrics.requests.labels("not-asked").inc()
        return answer(request.uid)
    try:
        injection = inject(request.pod, settings, facts())
        reviewed = answer(request.uid, list(make_patch(request.pod, injection.pod)), injection.warnings)
    except Exception as error:  # noqa: BLE001 - a job never fails for the collector's sake
        metrics.requests.labels("error").inc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        kind, place = type(error).__name__, f"{last.name}:{last.lineno}"
        logger.error("pod passed unchanged", **_who(request.pod), error=kind, at=place)
        return answer(request.uid, warnings=[_FAILED])
    metrics.requests.labels(injection.outcome).inc()
    logger.info("looked at a pod", **_who(request.pod), outcome=injection.outcome, uid=request.uid)
    return reviewed


def _who(pod: Mapping[str, Any]) -> Fields:
    """Return the fields that name the pod's job in log lines, as far as the pod has them."""
    metadata = _part(pod, "metadata")
    name, start = _word(metadata, "name"), _word(metadata, "generateName")
    return {"job": name or start, "group": _word(_part(metadata, "labels"), GROUP_LABEL).removeprefix("escaped-")}


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _word(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _text(text: str, status: int = 200) -> flask.Response:
    return flask.Response(text, status, content_type="text/plain; charset=utf-8")

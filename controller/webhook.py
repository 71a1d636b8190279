"""The webhook: every pod of a PhJob on its way to the API server comes by here. Stateless.

It fails open: whatever goes wrong here, the pod passes unchanged, with a warning, a log line and a count. What is
logged never holds a pod, nor the message of an error that may quote one.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import flask
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import RequestEntityTooLarge

from controller.inject.facts import Facts
from controller.inject.injection import inject
from controller.metrics import WebhookMetrics
from controller.patch import make_patch
from controller.review import BadReview, Request, answer, read_review
from controller.settings import Settings

logger = logging.getLogger(__name__)

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
        encode, content_type = choose_encoder(flask.request.headers.get("Accept", ""))
        return flask.Response(encode(metrics.registry), content_type=content_type)

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
        logger.error("pod passed unchanged error=%s at=%s:%s", type(error).__name__, last.name, last.lineno)
        return answer(request.uid, warnings=[_FAILED])
    metrics.requests.labels(injection.outcome).inc()
    logger.info("looked at a pod outcome=%s uid=%a", injection.outcome, request.uid)
    return reviewed


def _text(text: str, status: int = 200) -> flask.Response:
    return flask.Response(text, status, content_type="text/plain; charset=utf-8")

"""The webhook's application: the API server sends it every new pod of a PhJob. Stateless.

It fails open: after any error the pod is admitted unchanged, and the error is counted, logged and returned as a
warning. Log lines contain only the job and group of a pod, never the message of an exception, which may quote more of
the pod.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import flask
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import RequestEntityTooLarge

from artifacts.exposition import expose
from artifacts.log import Fields, get_logger
from controller.documents import mapping_field, text_field
from controller.inject.cluster_version import ClusterVersion
from controller.inject.injection import inject, withhold
from controller.inject.pod import GROUP_LABEL, INJECTED
from controller.injection_pauses import pod_owner
from controller.metrics import WebhookMetrics
from controller.patch import make_patch
from controller.review import AdmissionRequest, InvalidReview, allow, parse_review
from controller.review_limiter import MAX_BYTES, Overloaded, ReviewLimiter
from controller.settings import WebhookSettings

logger = get_logger(__name__)

_FAILURE_WARNING = (
    "artifacts will not be collected: the collector's webhook failed; ask an administrator to check its log"
)

JsonResponse = dict[str, Any] | tuple[dict[str, Any], int]


def create_app(
    settings: WebhookSettings,
    cluster: Callable[[], ClusterVersion],
    metrics: WebhookMetrics,
    problem: Callable[[], str],
    may_inject: Callable[[str], bool],
) -> flask.Flask:
    """Create the application.

    `problem` returns why the application is not ready, or "" if it is. `may_inject` returns whether injection is on for
    the pods of an owner.
    """
    app = flask.Flask("webhook", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    limiter = ReviewLimiter()

    @app.post("/inject")
    def inject_sidecar() -> JsonResponse:
        length = flask.request.content_length
        try:
            with metrics.seconds.time(), limiter.reading(length):
                body = _read_body()
                with limiter.reviewing(length):
                    return _review(parse_review(body), settings, cluster, metrics, may_inject)
        except InvalidReview as error:
            message, status = str(error), 400
        except RequestEntityTooLarge:
            message, status = f"the review is larger than {MAX_BYTES} bytes", 413
        except Overloaded:
            message, status = "too many large reviews at once", 503
        metrics.requests.labels("refused").inc()
        return {"error": {"status": status, "message": message}}, status

    @app.get("/healthz")
    def healthz() -> flask.Response:
        return _text_response("ok\n")

    @app.get("/readyz")
    def readyz() -> flask.Response:
        message = problem()
        return _text_response(f"{message}\n", 503) if message else _text_response("ok\n")

    @app.get("/metrics")
    def show_metrics() -> flask.Response:
        text, content_type = expose(metrics.registry, flask.request.headers.get("Accept", ""), choose_encoder)
        return flask.Response(text, content_type=content_type)

    return app


def _read_body() -> bytes:
    if flask.request.mimetype != "application/json":
        raise InvalidReview("send the review as application/json")
    return flask.request.get_data(cache=False)


def _review(
    request: AdmissionRequest,
    settings: WebhookSettings,
    cluster: Callable[[], ClusterVersion],
    metrics: WebhookMetrics,
    may_inject: Callable[[str], bool],
) -> dict[str, Any]:
    if request.pod is None:
        metrics.requests.labels("not-asked").inc()
        return allow(request.uid)
    try:
        injection = inject(request.pod, settings, cluster())
        if injection.outcome == INJECTED and not may_inject(pod_owner(mapping_field(request.pod, "metadata"))):
            injection = withhold(request.pod, settings, "paused")
        response = allow(request.uid, list(make_patch(request.pod, injection.pod)), injection.warnings)
    except Exception as error:  # noqa: BLE001 - a job must never fail because of the collector
        metrics.requests.labels("error").inc()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind, location = type(error).__name__, f"{frame.name}:{frame.lineno}"
        logger.error("injection failed, pod admitted unchanged", **_log_fields(request.pod), error=kind, at=location)
        return allow(request.uid, warnings=[_FAILURE_WARNING])
    metrics.requests.labels(injection.outcome).inc()
    logger.info("pod reviewed", **_log_fields(request.pod), outcome=injection.outcome, uid=request.uid)
    return response


def _log_fields(pod: Mapping[str, Any]) -> Fields:
    """Return the log fields that identify the pod's job."""
    metadata = mapping_field(pod, "metadata")
    name, prefix = text_field(metadata, "name"), text_field(metadata, "generateName")
    group = text_field(mapping_field(metadata, "labels"), GROUP_LABEL).removeprefix("escaped-")
    return {"job": name or prefix, "group": group}


def _text_response(text: str, status: int = 200) -> flask.Response:
    return flask.Response(text, status, content_type="text/plain; charset=utf-8")

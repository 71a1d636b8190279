"""The probes and `/metrics`, which Kubernetes and Prometheus request without a token."""

import time
from collections.abc import Callable

import flask
from prometheus_client.exposition import choose_encoder

from api.cache import ExpiringCache
from api.errors import ApiError, ServiceUnavailable
from api.services import Services
from artifacts.errors import ArtifactError
from artifacts.exposition import expose
from artifacts.log import get_logger

logger = get_logger(__name__)

_CACHE_SECONDS = 2.0  # anyone can request the probes; this limits the requests to the store
_KEY = "problem"


def health_blueprint(services: Services) -> flask.Blueprint:
    """`/healthz` (the process responds), `/readyz` (the store and the jobs can be read), `/metrics`."""
    blueprint = flask.Blueprint("health", __name__)
    readiness = Readiness([services.store.check, services.jobs.check], time.monotonic)

    @blueprint.get("/healthz")
    def healthz() -> flask.Response:
        return _text("ok\n")

    @blueprint.get("/readyz")
    def readyz() -> flask.Response:
        if problem := readiness.problem():
            raise ServiceUnavailable(problem)
        return _text("ok\n")

    @blueprint.get("/metrics")
    def metrics() -> flask.Response:
        accept = flask.request.headers.get("Accept", "")
        text, content_type = expose(services.metrics.registry, accept, choose_encoder)
        return flask.Response(text, content_type=content_type)

    return blueprint


def _text(text: str) -> flask.Response:
    return flask.Response(text, content_type="text/plain; charset=utf-8")


class Readiness:
    """Runs the checks and caches their result briefly. `clock`: monotonic seconds."""

    def __init__(self, checks: list[Callable[[], None]], clock: Callable[[], float]) -> None:
        self._checks, self._last_problem = checks, ""
        self._cache: ExpiringCache[str, str] = ExpiringCache(1, clock)

    def problem(self) -> str:
        """Return the error of the first check that fails, or ""."""
        return self._cache.get_or_load(_KEY, self._load)

    def _load(self) -> tuple[str, float]:
        problem = self._run_checks()
        if problem and problem != self._last_problem:
            logger.warning("not ready", reason=problem)
        elif self._last_problem and not problem:
            logger.info("ready again")
        self._last_problem = problem
        return problem, _CACHE_SECONDS

    def _run_checks(self) -> str:
        for check in self._checks:
            try:
                check()
            except ApiError as error:
                return str(error)
            except ArtifactError:  # its text contains the store's location, which must not be public
                return "the store cannot be reached"
        return ""

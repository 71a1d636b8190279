"""The probes and `/metrics`: what Kubernetes and Prometheus ask, without a token."""

import time
from collections.abc import Callable

import flask

from api.cache import ExpiringCache
from api.errors import ApiError, ServiceUnavailable
from api.metrics import expose
from api.services import Services
from artifacts.errors import ArtifactError
from artifacts.log import get_logger

logger = get_logger(__name__)

# Whoever may reach the port may ask; the store is asked no more often than this.
_FRESH_SECONDS = 2.0


def health_blueprint(services: Services) -> flask.Blueprint:
    """`/healthz` (the process answers), `/readyz` (store and jobs are reached), `/metrics`."""
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
        text, content_type = expose(services.metrics.registry, flask.request.headers.get("Accept", ""))
        return flask.Response(text, content_type=content_type)

    return blueprint


def _text(text: str) -> flask.Response:
    return flask.Response(text, content_type="text/plain; charset=utf-8")


class Readiness:
    """Remembers for a moment what the checks said. `clock` is monotonic seconds."""

    def __init__(self, checks: list[Callable[[], None]], clock: Callable[[], float]) -> None:
        self._checks, self._last_problem = checks, ""
        self._problem: ExpiringCache[str, str] = ExpiringCache(1, clock)

    def problem(self) -> str:
        """What is not reached, or ""."""
        return self._problem.get_or_load("", self._load)

    def _load(self) -> tuple[str, float]:
        problem = self._ask()
        if problem and problem != self._last_problem:
            logger.warning("not ready", reason=problem)
        elif self._last_problem and not problem:
            logger.info("ready again")
        self._last_problem = problem
        return problem, _FRESH_SECONDS

    def _ask(self) -> str:
        for check in self._checks:
            try:
                check()
            except ApiError as error:
                return str(error)
            except ArtifactError:  # names the store's place, which is nobody's business here
                return "the store cannot be reached"
        return ""

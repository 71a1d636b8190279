"""The probes and `/metrics`: what Kubernetes and Prometheus ask, without a token."""

import threading
import time
from collections.abc import Callable

import flask

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
        self._checks, self._clock = checks, clock
        self._lock = threading.Lock()
        self._asked_at, self._problem = float("-inf"), ""

    def problem(self) -> str:
        """What is not reached, or ""."""
        with self._lock:
            if self._clock() - self._asked_at >= _FRESH_SECONDS:
                before, self._problem = self._problem, self._ask()
                self._tell(before)
                self._asked_at = self._clock()
            return self._problem

    def _tell(self, before: str) -> None:
        if self._problem and self._problem != before:
            logger.warning("not ready", why=self._problem)
        elif before and not self._problem:
            logger.info("ready again")

    def _ask(self) -> str:
        for check in self._checks:
            try:
                check()
            except ApiError as error:
                return str(error)
            except ArtifactError:  # names the store's place, which is nobody's business here
                return "the store cannot be reached"
        return ""

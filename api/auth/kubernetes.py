"""Authenticates Kubernetes tokens with the API server's TokenReview.

A token must be issued for one of our audiences (`kubectl create token --audience`). A token for the API server itself
or for another service is refused, so that users do not send us tokens that are valid there. The user's groups are the
Kubernetes groups that start with `prefix`, without the prefix. Administrators are the users who may `delete
phjobs.primehub.io/artifacts` in the PhJobs' namespace (`verbs: [delete]`, `resources: [phjobs/artifacts]`). No request
uses this permission; a SubjectAccessReview only checks it. Results are cached briefly by the token's digest.

The service account must be allowed to create tokenreviews and subjectaccessreviews (system:auth-delegator).
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.auth.caller import Caller
from api.cache import ExpiringCache
from api.errors import NotAuthenticated, ServiceUnavailable
from artifacts.errors import InvalidName
from artifacts.log import get_logger
from artifacts.names import group_path
from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

ACCEPTED_SECONDS = 10.0
REFUSED_SECONDS = 2.0
MAX_ENTRIES = 4096  # per cache; refused tokens have their own, so that invalid tokens cannot evict accepted ones
_TIMEOUT_SECONDS = 5.0
_REFUSED = "invalid token: it has expired, or was not issued for this service's audience"


class KubernetesAuthenticator:
    """Reviews tokens at the API server. `namespace`: the PhJobs'. With empty `audiences`, no token is accepted."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        audiences: Sequence[str],
        prefix: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespace, self._audiences, self._prefix = namespace, list(audiences), prefix
        self._tokens = _reviews(client, "authentication.k8s.io", "tokenreviews")
        self._accesses = _reviews(client, "authorization.k8s.io", "subjectaccessreviews")
        self._accepted: ExpiringCache[bytes, Caller] = ExpiringCache(MAX_ENTRIES, clock)
        self._refused: ExpiringCache[bytes, str] = ExpiringCache(MAX_ENTRIES, clock)

    def authenticate(self, token: str) -> Caller:
        """Return the token's owner. Raises NotAuthenticated, or ServiceUnavailable if the review fails."""
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        return self._accepted.get_or_load(digest, lambda: self._load(digest, token))

    def _load(self, digest: bytes, token: str) -> tuple[Caller, float]:
        """Return the token's owner and the seconds to cache it for."""
        if refusal := self._refused.get(digest):
            raise NotAuthenticated(refusal)
        try:
            user = self._review(token)
            caller = user and self._caller(user)
        except errors.KubeError as error:
            logger.warning("token not reviewed", error=error)
            raise ServiceUnavailable(
                "the token cannot be checked because the Kubernetes API server does not answer; retry later"
            ) from error
        if caller:
            return caller, ACCEPTED_SECONDS
        self._refused.put(digest, _REFUSED, REFUSED_SECONDS)
        raise NotAuthenticated(_REFUSED)

    def _review(self, token: str) -> Mapping[str, Any] | None:
        """Return the user if the token is valid for one of our audiences.

        An API server that does not support audiences returns no audiences, so its tokens are refused.
        """
        review = _create(self._tokens, "TokenReview", {"token": token, "audiences": self._audiences})
        status = _object(review, "status")
        audiences = status.get("audiences")
        is_for_us = isinstance(audiences, list) and any(audience in self._audiences for audience in audiences)
        user = _object(status, "user")
        return user if status.get("authenticated") is True and is_for_us and _text(user, "username") else None

    def _caller(self, user: Mapping[str, Any]) -> Caller:
        username = _text(user, "username")
        groups = [group for group in _list(user, "groups") if isinstance(group, str)]
        own = [group.removeprefix(self._prefix) for group in groups if group.startswith(self._prefix)]
        is_admin = self._is_admin(user, username, groups)
        return Caller(_text(user, "uid") or username, username, tuple(filter(_is_group_name, own)), is_admin)

    def _is_admin(self, user: Mapping[str, Any], username: str, groups: list[str]) -> bool:
        attributes = {
            "namespace": self._namespace,
            "verb": "delete",
            "group": "primehub.io",
            "resource": "phjobs",
            "subresource": "artifacts",
        }
        extra = dict(_object(user, "extra"))
        subject = {"user": username, "uid": _text(user, "uid"), "groups": groups, "extra": extra}
        review = _create(self._accesses, "SubjectAccessReview", {"resourceAttributes": attributes, **subject})
        status = _object(review, "status")
        return status.get("allowed") is True and not status.get("denied")


def _reviews(client: Client, group: str, plural: str) -> ResourceClient:
    return ResourceClient(client, Resource(group, "v1", plural), timeout=_TIMEOUT_SECONDS)


def _create(reviews: ResourceClient, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    version = f"{reviews.resource.group}/{reviews.resource.version}"
    return reviews.create({"apiVersion": version, "kind": kind, "spec": spec})


def _is_group_name(name: str) -> bool:
    try:
        return bool(group_path(name))
    except InvalidName:
        return False


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _text(document: Mapping[str, Any], name: str) -> str:
    text = document.get(name)
    return text if isinstance(text, str) else ""

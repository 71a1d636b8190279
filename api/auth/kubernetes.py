"""Users whom Kubernetes knows, by the tokens that its API server accepts. It decides, we ask.

A token must be made for one of our audiences (`kubectl create token --audience`): one that was made for the API server
itself, or for another service, would give whoever it is shown to the owner's rights there. The names of groups that
start with `prefix` are, without it, the user's groups. Administrator is who may `delete phjobs.primehub.io/artifacts`
in the PhJobs' namespace (`verbs: [delete]`, `resources: [phjobs/artifacts]`): the right is asked about, never used.
Answers are kept for a moment, the tokens never: only their digests.

What the service account must be allowed to: create tokenreviews and subjectaccessreviews (system:auth-delegator).
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
MAX_ENTRIES = (
    4096  # of each cache: there are two, so that refused tokens, which anybody can send, evict no accepted one
)
_TIMEOUT_SECONDS = 5.0
_REFUSED = "the token is not accepted: it has expired, or was not made for this service"


class KubernetesAuthenticator:
    """Asks the API server. `namespace`: of the PhJobs; without `audiences` no token is accepted."""

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
        """The token's owner. Raises NotAuthenticated, and ServiceUnavailable where the API server cannot be asked."""
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
            raise ServiceUnavailable("whose token it is cannot be found out at the moment: try again later") from error
        if caller:
            return caller, ACCEPTED_SECONDS
        self._refused.put(digest, _REFUSED, REFUSED_SECONDS)
        raise NotAuthenticated(_REFUSED)

    def _review(self, token: str) -> Mapping[str, Any] | None:
        """The user, where the token is good, and good for us; a server that knows no audiences names none."""
        answer = _create(self._tokens, "TokenReview", {"token": token, "audiences": self._audiences})
        status = _part(answer, "status")
        named = status.get("audiences")
        ours = isinstance(named, list) and any(audience in self._audiences for audience in named)
        user = _part(status, "user")
        return user if status.get("authenticated") is True and ours and _text(user, "username") else None

    def _caller(self, user: Mapping[str, Any]) -> Caller:
        username = _text(user, "username")
        groups = [group for group in _list(user, "groups") if isinstance(group, str)]
        own = [group.removeprefix(self._prefix) for group in groups if group.startswith(self._prefix)]
        is_admin = self._is_admin(user, username, groups)
        return Caller(_text(user, "uid") or username, username, tuple(filter(_is_group, own)), is_admin)

    def _is_admin(self, user: Mapping[str, Any], username: str, groups: list[str]) -> bool:
        right = {
            "namespace": self._namespace,
            "verb": "delete",
            "group": "primehub.io",
            "resource": "phjobs",
            "subresource": "artifacts",
        }
        about = {"user": username, "uid": _text(user, "uid"), "groups": groups, "extra": dict(_part(user, "extra"))}
        answer = _create(self._accesses, "SubjectAccessReview", {"resourceAttributes": right, **about})
        status = _part(answer, "status")
        return status.get("allowed") is True and not status.get("denied")


def _reviews(client: Client, group: str, plural: str) -> ResourceClient:
    return ResourceClient(client, Resource(group, "v1", plural), timeout=_TIMEOUT_SECONDS)


def _create(reviews: ResourceClient, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    version = f"{reviews.resource.group}/{reviews.resource.version}"
    return reviews.create({"apiVersion": version, "kind": kind, "spec": spec})


def _is_group(name: str) -> bool:
    try:
        return bool(group_path(name))
    except InvalidName:
        return False


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _text(document: Mapping[str, Any], name: str) -> str:
    text = document.get(name)
    return text if isinstance(text, str) else ""

"""Kubernetes tokens: reviewed by the API server, cached briefly, refused in doubt."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.auth import kubernetes
from api.auth.caller import Caller
from api.auth.kubernetes import KubernetesAuthenticator
from api.errors import NotAuthenticated, ServiceUnavailable
from tests.kube.apiserver import ApiServer

USER = {
    "username": "ann",
    "uid": "u-1",
    "groups": ["phjob:Team_A", "phjob:b", "dev", "phjob:", "phjob:a:b", "phjob:../x"],
}
EXTRA = {"authentication.kubernetes.io/pod-name": ["p"]}


class Cluster:
    """The API server's reviews: users by token, and the administrators' names."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.users: dict[str, dict[str, Any]] = {"good": USER}
        self.admins: set[str] = set()
        self.status: dict[str, Any] = {}  # overrides fields of every review's status
        self.hold = threading.Event()
        self.hold.set()
        server.create_handlers |= {"tokenreviews": self._review, "subjectaccessreviews": self._access}

    def received_reviews(self, plural: str) -> list[dict[str, Any]]:
        return [request.body for request in self.server.requests if request.path.endswith("/" + plural)]

    def _review(self, document: dict[str, Any]) -> dict[str, Any]:
        assert self.hold.wait(20)
        user, audiences = self.users.get(document["spec"]["token"]), document["spec"]["audiences"]
        status = {"authenticated": True, "user": user, "audiences": audiences[:1]} if user else {"error": "invalid"}
        return {**document, "status": {**status, **self.status}}

    def _access(self, document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "status": {"allowed": document["spec"]["user"] in self.admins}}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ApiServer() as server:
        yield Cluster(server)


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def authenticator(cluster: Cluster, clock: list[float]) -> Iterator[KubernetesAuthenticator]:
    client = cluster.server.client()
    yield KubernetesAuthenticator(client, "hub", ("phjob-artifacts", "other"), "phjob:", lambda: clock[0])
    client.close()


def test_groups_are_the_valid_names_with_the_prefix(cluster: Cluster, authenticator: KubernetesAuthenticator) -> None:
    assert authenticator.authenticate("good") == Caller("u-1", "ann", ("Team_A", "b"))
    review = cluster.received_reviews("tokenreviews")[0]
    assert review["spec"] == {"token": "good", "audiences": ["phjob-artifacts", "other"]}


def test_user_without_a_uid_is_identified_by_name(cluster: Cluster, authenticator: KubernetesAuthenticator) -> None:
    cluster.users["bare"] = {"username": "bob"}
    assert authenticator.authenticate("bare") == Caller("bob", "bob")


def test_right_to_delete_artifacts_makes_an_administrator(
    cluster: Cluster, authenticator: KubernetesAuthenticator
) -> None:
    cluster.users["boss"] = {**USER, "username": "eve", "extra": EXTRA}
    cluster.admins.add("eve")
    assert authenticator.authenticate("boss").is_admin
    assert not authenticator.authenticate("good").is_admin
    assert cluster.received_reviews("subjectaccessreviews")[0]["spec"] == {
        "user": "eve",
        "uid": "u-1",
        "groups": USER["groups"],
        "extra": EXTRA,
        "resourceAttributes": {
            "namespace": "hub",
            "verb": "delete",
            "group": "primehub.io",
            "resource": "phjobs",
            "subresource": "artifacts",
        },
    }


@pytest.mark.parametrize(
    "status",
    [
        {"audiences": ["https://kubernetes.default.svc"]},
        {"audiences": []},
        {"audiences": None},
        {"audiences": "phjob-artifacts"},
        {"authenticated": False},
        {"authenticated": "true"},
        {"authenticated": None},
        {"user": None},
        {"user": {"username": ""}},
        {"user": {"username": 7}},
        {"user": []},
    ],
)
def test_ambiguous_review_refuses_the_token(
    cluster: Cluster, authenticator: KubernetesAuthenticator, status: dict[str, Any]
) -> None:
    cluster.status = status
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate("good")
    assert cluster.received_reviews("subjectaccessreviews") == []


@pytest.mark.parametrize("answer", [{}, {"allowed": "true"}, {"allowed": True, "denied": True}, {"allowed": 1}, []])
def test_ambiguous_access_review_makes_no_administrator(
    cluster: Cluster, authenticator: KubernetesAuthenticator, answer: Any
) -> None:
    cluster.server.create_handlers["subjectaccessreviews"] = lambda document: {**document, "status": answer}
    assert not authenticator.authenticate("good").is_admin


def test_without_audiences_every_token_is_refused(cluster: Cluster) -> None:
    cluster.status = {"audiences": ["https://kubernetes.default.svc"]}
    client = cluster.server.client()
    with pytest.raises(NotAuthenticated):
        KubernetesAuthenticator(client, "hub", (), "phjob:").authenticate("good")
    client.close()


def test_accepted_tokens_are_cached_for_ten_seconds_and_refused_ones_for_two(
    cluster: Cluster, authenticator: KubernetesAuthenticator, clock: list[float]
) -> None:
    authenticator.authenticate("good")
    refuse(authenticator, "bad")
    clock[0] += 1.9
    refuse(authenticator, "bad")
    clock[0] += 0.2
    refuse(authenticator, "bad")
    clock[0] += 7.8
    authenticator.authenticate("good")
    assert [review["spec"]["token"] for review in cluster.received_reviews("tokenreviews")] == ["good", "bad", "bad"]
    del cluster.users["good"]
    clock[0] += 0.2
    refuse(authenticator, "good")


def refuse(authenticator: KubernetesAuthenticator, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token)


@pytest.mark.parametrize("plural", ["tokenreviews", "subjectaccessreviews"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("status", {"code": 401}),
        ("status", {"code": 403}),
        ("status", {"code": 404}),
        ("status", {"code": 409}),
        ("status", {"code": 422}),
        ("status", {"code": 429}),
        ("status", {"code": 500}),
        ("reset", {}),
        ("truncated", {}),
        ("text", {"text": b"[]"}),
    ],
)
def test_failed_review_gives_unavailable_and_is_not_cached(
    cluster: Cluster, authenticator: KubernetesAuthenticator, plural: str, kind: str, given: dict[str, Any]
) -> None:
    cluster.server.script.add(kind, lambda request: request.path.endswith("/" + plural), **given)
    with pytest.raises(ServiceUnavailable, match="retry later"):
        authenticator.authenticate("good")
    assert authenticator.authenticate("good").username == "ann"


def test_tokens_are_neither_logged_nor_in_errors(
    cluster: Cluster, authenticator: KubernetesAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.server.script.add("status", lambda _: True, code=403)
    with pytest.raises(ServiceUnavailable) as unavailable:
        authenticator.authenticate("s3cret-token")
    with pytest.raises(NotAuthenticated) as refused:
        authenticator.authenticate("s3cret-token")
    assert "s3cret" not in caplog.text + str(unavailable.value) + str(refused.value)


def test_concurrent_requests_with_one_token_share_one_review(
    cluster: Cluster, authenticator: KubernetesAuthenticator
) -> None:
    cluster.hold.clear()
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(authenticator.authenticate, "good") for _ in range(16)]
        cluster.hold.set()
        assert {answer.result().username for answer in answers} == {"ann"}
    assert len(cluster.received_reviews("tokenreviews")) == 1


@pytest.fixture
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "MAX_ENTRIES", 3)


@pytest.mark.usefixtures("small_caches")  # before the authenticator is made
def test_refused_tokens_do_not_evict_accepted_tokens_and_take_bounded_memory(
    cluster: Cluster, authenticator: KubernetesAuthenticator
) -> None:
    authenticator.authenticate("good")
    for number in range(10):
        refuse(authenticator, f"bad-{number}")
    review_count = len(cluster.received_reviews("tokenreviews"))
    authenticator.authenticate("good")
    refuse(authenticator, "bad-9")
    assert len(cluster.received_reviews("tokenreviews")) == review_count
    refuse(authenticator, "bad-0")
    assert len(cluster.received_reviews("tokenreviews")) == review_count + 1


def test_any_text_is_refused_as_a_token(authenticator: KubernetesAuthenticator) -> None:
    for token in ("", "\ud800", "\0", "a" * 100_000, '{"a": 1}', "Bearer x\r\nX: 1"):
        refuse(authenticator, token)

"""PrimeHub's API tokens: offline refresh tokens, exchanged at a real token endpoint."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest

from api.auth import exchange
from api.auth.claims import Claims
from api.auth.exchange import ACCEPTED_SECONDS, REFUSED_SECONDS, Client, ExchangeAuthenticator
from api.auth.fetch import Fetcher
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.auth.tokens import make_authenticators
from api.errors import NotAuthenticated, ServiceUnavailable
from tests.api.auth.oidc_server import CLIENT, CLIENT_SECRET, OidcServer, hang, held, status
from tests.api.auth.service import Service, serving, settings
from tests.api.auth.test_issuer import Clock


def make(oidc: OidcServer, clock: Clock, secret: str = CLIENT_SECRET, seconds: float = 20) -> ExchangeAuthenticator:
    fetcher = Fetcher(seconds)
    issuer = Issuer(oidc.issuer, fetcher)
    believed = OidcAuthenticator(issuer, [CLIENT], Claims("groups", "", ""))
    return ExchangeAuthenticator(issuer, Client(CLIENT, secret), believed, fetcher, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(oidc: OidcServer, clock: Clock) -> ExchangeAuthenticator:
    return make(oidc, clock)


@pytest.fixture
def service(oidc: OidcServer) -> Iterator[Service]:
    told = settings(
        PHJOB_API_AUTH="oidc",
        PHJOB_API_OIDC_ISSUER=oidc.issuer,
        PHJOB_API_OIDC_AUDIENCES=CLIENT,
        PHJOB_API_OIDC_CLIENT_ID=CLIENT,
        PHJOB_API_OIDC_CLIENT_SECRET=CLIENT_SECRET,
    )
    with serving(make_authenticators(told, None)) as running:
        yield running


def test_an_api_token_tells_its_user(service: Service, oidc: OidcServer) -> None:
    token = oidc.offline()
    for _ in range(3):
        assert service.bearer(token).json["groups"] == ["research", "Team_A"]
    assert oidc.asked["/token"] == 1


def test_a_revoked_and_a_made_up_token_are_refused(service: Service, oidc: OidcServer) -> None:
    revoked = oidc.offline()
    oidc.revoked.add(revoked)
    for token in (revoked, revoked[:-30]):
        answer = service.bearer(token)
        assert (answer.status, answer.json["error"]["code"]) == (401, "UNAUTHENTICATED")


def test_an_issuer_that_is_out_is_no_refusal(service: Service, oidc: OidcServer) -> None:
    oidc.answers["/token"] = status(502, b"<html>Bad Gateway</html>")
    assert service.bearer(oidc.offline()).status == 503


def test_an_answer_is_remembered_for_thirty_seconds_at_most(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += ACCEPTED_SECONDS - 0.1
    authenticator.authenticate(token)
    assert oidc.asked["/token"] == 1
    oidc.revoked.add(token)
    clock.seconds += 0.1
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token)
    assert oidc.asked["/token"] == 2


def test_an_answer_is_not_remembered_past_the_access_tokens_end(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    oidc.access_claims = {"exp": int(time.time()) + 10}
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += 10
    authenticator.authenticate(token)
    oidc.access_claims = {"exp": int(time.time()) - 5}  # within the leeway
    clock.seconds += 10
    for asked in (3, 4):
        authenticator.authenticate(token)
        assert oidc.asked["/token"] == asked


def test_an_access_token_with_an_end_that_no_clock_counts_with_is_remembered_as_others_are(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    oidc.access_claims = {"exp": 10**400}
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += ACCEPTED_SECONDS
    authenticator.authenticate(token)
    assert oidc.asked["/token"] == 2


def test_a_refusal_is_remembered_for_five_seconds(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    token = oidc.offline()
    oidc.revoked.add(token)
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(token)
    assert oidc.asked["/token"] == 1
    oidc.revoked.clear()
    clock.seconds += REFUSED_SECONDS
    authenticator.authenticate(token)


NO_ANSWERS: dict[str, Any] = {
    "status 500": status(500),
    "a page": status(502, b"<html>"),
    "too many requests": status(429),
    "our client": status(400, b'{"error": "invalid_client"}'),
    "an error of its own": status(400, b'{"error": "temporarily_unavailable"}'),
    "another status": status(401, b'{"error": "invalid_grant"}'),
    "an error in a list": status(400, b'{"error": ["invalid_grant"]}'),
    "a redirect": status(307, Location="http://127.0.0.1:1/"),
    "a token that is none": status(200, b'{"access_token": 7}'),
    "no token": status(200, b'{"error": "invalid_grant"}'),
    "endless": status(400, b" " * 600_000),
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_what_is_no_answer_about_the_token_is_no_refusal_and_not_remembered(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock, case: str
) -> None:
    token = oidc.offline()
    oidc.answers["/token"] = NO_ANSWERS[case]
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(token)
    oidc.answers.clear()
    clock.seconds += 1
    authenticator.authenticate(token)


def test_an_issuer_that_says_nothing_is_no_refusal(oidc: OidcServer, clock: Clock) -> None:
    oidc.answers["/token"] = hang
    with pytest.raises(ServiceUnavailable):
        make(oidc, clock, seconds=0.5).authenticate(oidc.offline())


def test_the_access_token_is_held_to_the_same_rules(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    for claims in ({"azp": "other"}, {"typ": "ID"}, {"iss": "https://evil.example.com"}):
        oidc.access_claims = claims
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(oidc.offline())


def test_a_client_that_the_issuer_does_not_know_is_our_fault(oidc: OidcServer, clock: Clock) -> None:
    with pytest.raises(ServiceUnavailable):
        make(oidc, clock, "wrong secret").authenticate(oidc.offline())


def test_an_issuer_without_a_token_endpoint_is_no_refusal(
    oidc: OidcServer, authenticator: ExchangeAuthenticator
) -> None:
    del oidc.discovery["token_endpoint"]
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(oidc.offline())


def test_many_requests_with_one_token_make_one_exchange(oidc: OidcServer, authenticator: ExchangeAuthenticator) -> None:
    token, ready = oidc.offline(), threading.Barrier(16)

    def ask(_: int) -> str:
        ready.wait(20)
        return authenticator.authenticate(token).id

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {"4f1c"}
    assert oidc.asked["/token"] == 1


def test_one_token_does_not_wait_for_another(oidc: OidcServer, authenticator: ExchangeAuthenticator) -> None:
    first, second = oidc.offline(), oidc.offline()
    authenticator.authenticate(second)
    asking, go_on = threading.Event(), threading.Event()
    oidc.answers["/token"] = held(asking, go_on)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(authenticator.authenticate, first)
        assert asking.wait(10)
        try:
            authenticator.authenticate(second)
        finally:
            go_on.set()
        with pytest.raises(ServiceUnavailable):
            waiting.result(20)


def test_strangers_hold_a_few_threads_at_most(oidc: OidcServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MAX_CONCURRENT", 2)
    monkeypatch.setattr(exchange, "_WAIT_SECONDS", 0.01)
    authenticator = make(oidc, clock)
    go_on = threading.Event()
    oidc.answers["/token"] = held(threading.Event(), go_on)

    def ask(token: str) -> str:
        with pytest.raises(ServiceUnavailable) as refused:
            authenticator.authenticate(token)
        return str(refused.value)

    with ThreadPoolExecutor(8) as pool:
        told = as_completed([pool.submit(ask, oidc.offline()) for _ in range(8)])
        try:
            assert all(next(told).result().startswith("too many") for _ in range(6))
        finally:
            go_on.set()
    assert oidc.asked["/token"] == 2


def test_what_is_remembered_is_bounded(oidc: OidcServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MAX_ENTRIES", 3)
    authenticator = make(oidc, clock)
    tokens = [oidc.offline() for _ in range(5)]
    for token in tokens:
        authenticator.authenticate(token)
    authenticator.authenticate(tokens[-1])
    assert oidc.asked["/token"] == 5
    authenticator.authenticate(tokens[0])
    assert oidc.asked["/token"] == 6

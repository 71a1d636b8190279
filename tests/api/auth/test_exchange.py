"""PrimeHub's API tokens: offline refresh tokens, exchanged at a real token endpoint."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import Any

import pytest

from api.auth import exchange
from api.auth.claims import ClaimMapping
from api.auth.exchange import ACCEPTED_SECONDS, REFUSED_SECONDS, ExchangeAuthenticator, OAuthClient
from api.auth.fetch import Fetcher
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.auth.tokens import make_authenticators
from api.errors import NotAuthenticated, ServiceUnavailable
from tests.api.auth.oidc_server import (
    CLIENT,
    CLIENT_SECRET,
    CONSOLE,
    CONSOLE_SECRET,
    OidcServer,
    hang,
    status,
    wait_then_fail,
)
from tests.api.auth.service import Service, serving, settings
from tests.api.auth.test_issuer import Clock


def make(oidc: OidcServer, clock: Clock, secret: str = CLIENT_SECRET, seconds: float = 20) -> ExchangeAuthenticator:
    fetcher = Fetcher(seconds)
    issuer = Issuer(oidc.issuer, fetcher)
    oidc_authenticator = OidcAuthenticator(issuer, [CLIENT], ClaimMapping("groups", "", ""))
    return ExchangeAuthenticator(issuer, OAuthClient(CLIENT, secret), oidc_authenticator, fetcher, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(oidc: OidcServer, clock: Clock) -> ExchangeAuthenticator:
    return make(oidc, clock)


def oidc_service(oidc: OidcServer, **more: str) -> AbstractContextManager[Service]:
    """Run a service with a client for sign-in."""
    configured = {
        "PHJOB_API_AUTH": "oidc",
        "PHJOB_API_OIDC_ISSUER": oidc.issuer,
        "PHJOB_API_OIDC_AUDIENCES": CLIENT,
        "PHJOB_API_OIDC_CLIENT_ID": CLIENT,
        "PHJOB_API_OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }
    return serving(make_authenticators(settings(**configured | more), None))


@pytest.fixture
def service(oidc: OidcServer) -> Iterator[Service]:
    with oidc_service(oidc) as running:
        yield running


@pytest.fixture
def beside_console(oidc: OidcServer) -> Iterator[Service]:
    """A service with a client for sign-in, beside the console, whose client issues the API tokens."""
    console = {
        "PHJOB_API_OIDC_EXCHANGE_CLIENT_ID": CONSOLE,
        "PHJOB_API_OIDC_EXCHANGE_CLIENT_SECRET": CONSOLE_SECRET,
    }
    with oidc_service(oidc, **console) as running:
        yield running


def test_api_token_identifies_its_user(service: Service, oidc: OidcServer) -> None:
    token = oidc.offline()
    for _ in range(3):
        assert service.bearer(token).json["groups"] == ["research", "Team_A"]
    assert oidc.request_counts["/token"] == 1


def test_api_token_of_the_consoles_client_works_beside_a_client_for_sign_in(
    beside_console: Service, oidc: OidcServer
) -> None:
    assert beside_console.bearer(oidc.offline(azp=CONSOLE)).json["groups"] == ["research", "Team_A"]
    # Only exchanged tokens may name the console's client: it is no audience of this service.
    assert beside_console.bearer(oidc.token(azp=CONSOLE)).status == 401
    assert beside_console.bearer(oidc.token(azp=CLIENT)).status == 200


def test_api_token_of_another_client_is_refused_with_the_names_of_both(
    service: Service, oidc: OidcServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = service.bearer(oidc.offline(azp=CONSOLE))
    assert (answer.status, answer.json["error"]["code"]) == (401, "UNAUTHENTICATED")
    message = answer.json["error"]["message"]
    assert "belongs to the client 'admin-ui'" in message
    assert "API tokens of the client 'phjob-api'" in message
    assert "PHJOB_API_OIDC_EXCHANGE_CLIENT_ID" in message
    assert 'API token refused reason="it belongs to another client" client=admin-ui expected=phjob-api' in caplog.text
    assert oidc.request_counts["/token"] == 0


@pytest.mark.parametrize("client", ["a b", "x" * 200, "<script>", "caf\xe9\n2026 forged line"])
def test_odd_client_of_a_token_is_neither_shown_nor_logged(
    service: Service, oidc: OidcServer, caplog: pytest.LogCaptureFixture, client: str
) -> None:
    answer = service.bearer(oidc.offline(azp=client))
    assert (answer.status, client in answer.json["error"]["message"]) == (401, False)
    assert client not in caplog.text
    assert "client=unknown" in caplog.text


def test_revoked_and_forged_tokens_are_refused_and_logged(
    service: Service, oidc: OidcServer, caplog: pytest.LogCaptureFixture
) -> None:
    revoked = oidc.offline()
    oidc.revoked.add(revoked)
    for token in (revoked, revoked[:-30]):
        answer = service.bearer(token)
        assert (answer.status, answer.json["error"]["code"]) == (401, "UNAUTHENTICATED")
        assert "the API token has expired, was revoked or is damaged" in answer.json["error"]["message"]
    assert caplog.text.count('API token refused reason="the issuer does not accept it" client=phjob-api') == 2


def test_failing_issuer_gives_unavailable(service: Service, oidc: OidcServer) -> None:
    oidc.handlers["/token"] = status(502, b"<html>Bad Gateway</html>")
    assert service.bearer(oidc.offline()).status == 503


def test_accepted_token_is_cached_for_thirty_seconds(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += ACCEPTED_SECONDS - 0.1
    authenticator.authenticate(token)
    assert oidc.request_counts["/token"] == 1
    oidc.revoked.add(token)
    clock.seconds += 0.1
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token)
    assert oidc.request_counts["/token"] == 2


def test_accepted_token_is_not_cached_beyond_the_access_tokens_expiry(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    oidc.access_claims = {"exp": int(time.time()) + 10}
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += 10
    authenticator.authenticate(token)
    oidc.access_claims = {"exp": int(time.time()) - 5}  # within the leeway
    clock.seconds += 10
    for exchanges in (3, 4):
        authenticator.authenticate(token)
        assert oidc.request_counts["/token"] == exchanges


def test_absurd_expiry_does_not_extend_the_cache(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    oidc.access_claims = {"exp": 10**400}
    token = oidc.offline()
    authenticator.authenticate(token)
    clock.seconds += ACCEPTED_SECONDS
    authenticator.authenticate(token)
    assert oidc.request_counts["/token"] == 2


def test_refused_token_is_cached_for_five_seconds(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    token = oidc.offline()
    oidc.revoked.add(token)
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(token)
    assert oidc.request_counts["/token"] == 1
    oidc.revoked.clear()
    clock.seconds += REFUSED_SECONDS
    authenticator.authenticate(token)


UNUSABLE: dict[str, Any] = {
    "status 500": status(500),
    "a page": status(502, b"<html>"),
    "too many requests": status(429),
    "our client": status(400, b'{"error": "invalid_client"}'),
    "an error of its own": status(400, b'{"error": "temporarily_unavailable"}'),
    "another status": status(401, b'{"error": "invalid_grant"}'),
    "an error in a list": status(400, b'{"error": ["invalid_grant"]}'),
    "a redirect": status(307, Location="http://127.0.0.1:1/"),
    "a token that is not a string": status(200, b'{"access_token": 7}'),
    "no token": status(200, b'{"error": "invalid_grant"}'),
    "endless": status(400, b" " * 600_000),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_response_gives_unavailable_for_a_second_only(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock, case: str
) -> None:
    token = oidc.offline()
    oidc.handlers["/token"] = UNUSABLE[case]
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(token)
    oidc.handlers.clear()
    clock.seconds += 1
    authenticator.authenticate(token)


def test_hanging_issuer_gives_unavailable(oidc: OidcServer, clock: Clock) -> None:
    oidc.handlers["/token"] = hang
    with pytest.raises(ServiceUnavailable):
        make(oidc, clock, seconds=0.5).authenticate(oidc.offline())


def test_exchanged_access_token_is_verified(
    oidc: OidcServer, authenticator: ExchangeAuthenticator, clock: Clock
) -> None:
    for claims in ({"azp": "other"}, {"typ": "ID"}, {"iss": "https://evil.example.com"}):
        oidc.access_claims = claims
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(oidc.offline())


def test_wrong_client_secret_gives_unavailable_with_the_reason(
    oidc: OidcServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ServiceUnavailable, match="the issuer refuses this service as the client 'phjob-api'"):
        make(oidc, clock, "wrong secret").authenticate(oidc.offline())
    assert "token exchange failed status=401 error=unauthorized_client client=phjob-api" in caplog.text


def test_issuer_without_a_token_endpoint_gives_unavailable(
    oidc: OidcServer, authenticator: ExchangeAuthenticator
) -> None:
    del oidc.discovery["token_endpoint"]
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(oidc.offline())


def test_concurrent_requests_with_one_token_share_one_exchange(
    oidc: OidcServer, authenticator: ExchangeAuthenticator
) -> None:
    token, ready = oidc.offline(), threading.Barrier(16)

    def ask(_: int) -> str:
        ready.wait(20)
        return authenticator.authenticate(token).id

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {"4f1c"}
    assert oidc.request_counts["/token"] == 1


def test_tokens_do_not_wait_for_one_another(oidc: OidcServer, authenticator: ExchangeAuthenticator) -> None:
    first, second = oidc.offline(), oidc.offline()
    authenticator.authenticate(second)
    started, release = threading.Event(), threading.Event()
    oidc.handlers["/token"] = wait_then_fail(started, release)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(authenticator.authenticate, first)
        assert started.wait(10)
        try:
            authenticator.authenticate(second)
        finally:
            release.set()
        with pytest.raises(ServiceUnavailable):
            waiting.result(20)


def test_concurrent_exchanges_are_limited(oidc: OidcServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MAX_CONCURRENT", 2)
    monkeypatch.setattr(exchange, "_WAIT_SECONDS", 0.01)
    authenticator = make(oidc, clock)
    release = threading.Event()
    oidc.handlers["/token"] = wait_then_fail(threading.Event(), release)

    def ask(token: str) -> str:
        with pytest.raises(ServiceUnavailable) as refused:
            authenticator.authenticate(token)
        return str(refused.value)

    with ThreadPoolExecutor(8) as pool:
        refusals = as_completed([pool.submit(ask, oidc.offline()) for _ in range(8)])
        try:
            assert all(next(refusals).result().startswith("too many") for _ in range(6))
        finally:
            release.set()
    assert oidc.request_counts["/token"] == 2


def test_cache_is_bounded(oidc: OidcServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MAX_ENTRIES", 3)
    authenticator = make(oidc, clock)
    tokens = [oidc.offline() for _ in range(5)]
    for token in tokens:
        authenticator.authenticate(token)
    authenticator.authenticate(tokens[-1])
    assert oidc.request_counts["/token"] == 5
    authenticator.authenticate(tokens[0])
    assert oidc.request_counts["/token"] == 6

"""Issuers that change their keys, are down or slow, or send endless or malformed responses; and unknown key ids."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest

from api.auth import cached_value
from api.auth.cached_value import FRESH_SECONDS, PAUSE_SECONDS, USABLE_SECONDS
from api.auth.claims import ClaimMapping
from api.auth.fetch import MAX_BYTES, Fetcher, FetchError
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.errors import NotAuthenticated, ServiceUnavailable
from tests.api.auth.oidc_server import (
    AUDIENCE,
    OidcServer,
    ec_key,
    hang,
    jwk,
    rsa_key,
    signed,
    status,
    trickle,
    wait_then_fail,
)

DISCOVERY = "/.well-known/openid-configuration"


class Clock:
    """Monotonic seconds that a test advances."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(oidc: OidcServer, clock: Clock) -> Issuer:
    return Issuer(oidc.issuer, Fetcher(20), clock)


@pytest.fixture
def authenticator(issuer: Issuer) -> OidcAuthenticator:
    return OidcAuthenticator(issuer, [AUDIENCE], ClaimMapping("groups", "", ""))


def test_metadata_is_fetched_on_first_use_and_once_for_many_tokens(
    oidc: OidcServer, authenticator: OidcAuthenticator
) -> None:
    assert not oidc.request_counts
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(authenticator.authenticate, [oidc.token() for _ in range(64)]))
    assert oidc.request_counts == {DISCOVERY: 1, "/certs": 1}


def test_unknown_key_ids_do_not_cause_a_fetch_per_request(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    forged = [signed(oidc.claims(), rsa_key("2"), "RS256", kid=f"unknown-{number}") for number in range(50)]

    def refused(token: str) -> bool:
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(token)
        return True

    for fetches in (1, 2, 3):
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(refused, forged))
        assert oidc.request_counts["/certs"] == fetches
        authenticator.authenticate(oidc.token())
        clock.seconds += PAUSE_SECONDS


def test_new_key_is_found_after_the_pause_and_replaces_the_old_one(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    old, new = oidc.token(), signed(oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2")
    authenticator.authenticate(old)
    oidc.published[:] = [jwk("rsa-2", rsa_key("2"))]
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(new)
    clock.seconds += PAUSE_SECONDS
    authenticator.authenticate(new)
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(old)


def test_withdrawn_key_is_refused_after_the_refresh(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.published[:] = [jwk("rsa-2", rsa_key("2"))]
    clock.seconds += FRESH_SECONDS
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(oidc.token())


def not_http(handler: Any) -> None:
    handler.wfile.write(b"\x00\xff\r\n\r\n")


OUTAGES: dict[str, Callable[[Any], None]] = {
    "status 500": status(500),
    "not found": status(404),
    "a redirect": status(302, Location="http://127.0.0.1:1/"),
    "no JSON": status(200, b"<html>"),
    "a JSON list": status(200, b"[]"),
    "JSON too deep": status(200, b"[" * 100_000),
    "endless": status(200, b" " * (MAX_BYTES + 1) + b"{}"),
    "no HTTP": not_http,
    "closed": lambda handler: handler.connection.close(),
}


@pytest.mark.parametrize("path", [DISCOVERY, "/certs"])
@pytest.mark.parametrize("case", OUTAGES)
def test_unusable_response_gives_unavailable_and_no_immediate_retry(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock, case: str, path: str
) -> None:
    oidc.handlers[path] = OUTAGES[case]
    for _ in range(2):  # the second attempt does not fetch
        with pytest.raises(ServiceUnavailable):
            authenticator.authenticate(oidc.token())
    assert oidc.request_counts[path] == 1
    oidc.handlers.clear()
    clock.seconds += PAUSE_SECONDS
    authenticator.authenticate(oidc.token())


def test_cached_keys_survive_an_outage_until_they_are_too_old(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.handlers["/certs"] = status(503)
    clock.seconds += FRESH_SECONDS
    for _ in range(5):
        authenticator.authenticate(oidc.token())
    assert oidc.request_counts["/certs"] == 2
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(signed(oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2"))
    clock.seconds += USABLE_SECONDS - FRESH_SECONDS
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(oidc.token())


def test_empty_key_set_is_treated_as_an_outage(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.published.clear()
    clock.seconds += FRESH_SECONDS
    authenticator.authenticate(oidc.token())


def test_token_with_a_cached_key_does_not_wait_for_a_slow_issuer(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    started, release = threading.Event(), threading.Event()
    oidc.handlers["/certs"] = wait_then_fail(started, release)
    clock.seconds += FRESH_SECONDS
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(authenticator.authenticate, oidc.token())
        assert started.wait(10)
        try:
            authenticator.authenticate(oidc.token())
            assert not first.done()
        finally:
            release.set()
        assert first.result().id == "4f1c"


def test_tokens_with_unknown_keys_wait_briefly_for_a_slow_issuer(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_value, "_WAIT_SECONDS", 0.01)
    authenticator.authenticate(oidc.token())
    started, release = threading.Event(), threading.Event()
    oidc.handlers["/certs"] = wait_then_fail(started, release)
    clock.seconds += PAUSE_SECONDS
    unknown = [signed(oidc.claims(), rsa_key("2"), "RS256", kid=f"unknown-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        waiting = as_completed([pool.submit(authenticator.authenticate, token) for token in unknown])
        try:
            for _ in range(7):
                refused = next(waiting).exception()
                assert isinstance(refused, ServiceUnavailable)
                assert str(refused.__cause__) == "it has not answered yet"
        finally:
            release.set()
    assert oidc.request_counts["/certs"] == 2


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "data:application/json,{}"},
        {"jwks_uri": "http://[::1/certs"},
        {"jwks_uri": "http://127.0.0.1:99999/certs"},
        {"jwks_uri": "http:///certs"},
        {"jwks_uri": "http://127.0.0.1:1/a b"},
        {"jwks_uri": ["http://127.0.0.1/certs"]},
        {"token_endpoint": "ftp://127.0.0.1/"},
    ],
)
def test_malformed_discovery_document_is_an_outage(oidc: OidcServer, issuer: Issuer, discovery: dict[str, Any]) -> None:
    oidc.discovery |= discovery
    with pytest.raises(FetchError):
        issuer.key("rsa-1")


def test_https_issuer_must_not_name_http_urls() -> None:
    name = "https://id.example.com/realms/hub"

    class FakeFetcher(Fetcher):
        def get(self, url: str) -> dict[str, Any]:
            assert url == f"{name}/.well-known/openid-configuration"
            return {"issuer": name, "jwks_uri": "http://id.example.com/certs"}

    with pytest.raises(FetchError, match="does not start with https://"):
        Issuer(name, FakeFetcher()).key("rsa-1")


def test_malformed_key_does_not_hide_others(oidc: OidcServer, issuer: Issuer) -> None:
    malformed = [
        7,
        None,
        {},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "alg": ["RS256"], "kid": "a"},
        {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "b"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "c"},
        jwk("", rsa_key("2")) | {"kid": None},
        jwk("", rsa_key("2")) | {"kid": ["rsa-1"]},
        jwk("rsa-oaep", rsa_key("2"), use="enc", alg="RSA-OAEP"),
        jwk("rsa-512", rsa_key("2"), alg="RS512"),
    ]
    oidc.published[:0] = malformed
    assert issuer.key("rsa-1") is not None
    assert [issuer.key(kid) for kid in ("a", "b", "c", "rsa-oaep", "rsa-512")] == [None] * 5


def test_first_of_two_keys_with_the_same_id_is_used(oidc: OidcServer, authenticator: OidcAuthenticator) -> None:
    oidc.published.append(jwk("rsa-1", ec_key("2")))
    authenticator.authenticate(oidc.token())


def test_refused_connection_is_reported_without_the_address() -> None:
    with pytest.raises(FetchError, match=r"^Connection refused$"):
        Fetcher().get("http://127.0.0.1:1")


def test_response_over_the_size_limit_is_refused(oidc: OidcServer) -> None:
    oidc.handlers["/certs"] = status(200, b"{}" + b" " * (MAX_BYTES - 2))
    assert Fetcher().get(f"{oidc.issuer}/certs") == {}
    oidc.handlers["/certs"] = status(200, b"{}" + b" " * (MAX_BYTES - 1))
    with pytest.raises(FetchError, match="more than 512 KiB"):
        Fetcher().get(f"{oidc.issuer}/certs")


@pytest.mark.parametrize("code", [201, 206, 301, 302, 307, 400])
def test_other_statuses_are_refused_despite_a_valid_body(oidc: OidcServer, code: int) -> None:
    oidc.handlers["/certs"] = status(code, Location=f"{oidc.issuer}/token")
    with pytest.raises(FetchError, match=f"status {code}"):
        Fetcher().get(f"{oidc.issuer}/certs")
    assert oidc.request_counts == {"/certs": 1}


SLOW: dict[str, Callable[[Any], None]] = {
    "no answer": hang,
    "an answer that trickles": trickle(b"HTTP/1.0 200 OK\r\n\r\n"),
    "headers that trickle": trickle(b"HTTP/1.0 200 OK\r\nX: "),
    "a status line that trickles": trickle(b"HTTP/1.0 200 "),
    "a chunk that trickles": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
}


@pytest.mark.parametrize("case", SLOW)
def test_timeout_covers_the_whole_response(oidc: OidcServer, case: str) -> None:
    """Each byte arrives well before the timeout."""
    oidc.handlers["/certs"] = SLOW[case]
    with pytest.raises(FetchError, match=r"within 0\.3 seconds"):
        Fetcher(0.3).get(f"{oidc.issuer}/certs")

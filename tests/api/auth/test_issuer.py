"""An issuer that changes its keys, is out, slow, endless or strange; and strangers who make up key ids."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest

from api.auth import kept
from api.auth.claims import Claims
from api.auth.fetch import MAX_BYTES, Fetcher, FetchFailed
from api.auth.issuer import Issuer
from api.auth.kept import FRESH_SECONDS, PAUSE_SECONDS, USABLE_SECONDS
from api.auth.oidc import OidcAuthenticator
from api.errors import NotAuthenticated, ServiceUnavailable
from tests.api.auth.oidc_server import AUDIENCE, OidcServer, ec_key, hang, held, jwk, rsa_key, signed, status, trickle

DISCOVERY = "/.well-known/openid-configuration"


class Clock:
    """Monotonic seconds that pass when told to."""

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
    return OidcAuthenticator(issuer, [AUDIENCE], Claims("groups", "", ""))


def test_the_issuer_is_not_asked_before_a_token_comes_and_once_for_many(
    oidc: OidcServer, authenticator: OidcAuthenticator
) -> None:
    assert not oidc.asked
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(authenticator.authenticate, [oidc.token() for _ in range(64)]))
    assert oidc.asked == {DISCOVERY: 1, "/certs": 1}


def test_made_up_key_ids_do_not_make_a_fetch_per_request(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    forged = [signed(oidc.claims(), rsa_key("2"), "RS256", kid=f"made-up-{each}") for each in range(50)]

    def refused(token: str) -> bool:
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(token)
        return True

    for most in (1, 2, 3):
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(refused, forged))
        assert oidc.asked["/certs"] == most
        authenticator.authenticate(oidc.token())
        clock.seconds += PAUSE_SECONDS


def test_a_new_key_is_found_once_the_pause_is_over_and_an_old_one_goes(
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


def test_a_withdrawn_key_is_not_believed_for_longer_than_keys_are_fresh(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.published[:] = [jwk("rsa-2", rsa_key("2"))]
    clock.seconds += FRESH_SECONDS
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(oidc.token())


def no_http(handler: Any) -> None:
    handler.wfile.write(b"\x00\xff\r\n\r\n")


OUTAGES: dict[str, Callable[[Any], None]] = {
    "status 500": status(500),
    "not found": status(404),
    "a redirect": status(302, Location="http://127.0.0.1:1/"),
    "no JSON": status(200, b"<html>"),
    "a JSON list": status(200, b"[]"),
    "JSON too deep": status(200, b"[" * 100_000),
    "endless": status(200, b" " * (MAX_BYTES + 1) + b"{}"),
    "no HTTP": no_http,
    "closed": lambda handler: handler.connection.close(),
}


@pytest.mark.parametrize("path", [DISCOVERY, "/certs"])
@pytest.mark.parametrize("case", OUTAGES)
def test_an_issuer_that_does_not_answer_as_it_should_is_no_refusal(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock, case: str, path: str
) -> None:
    oidc.answers[path] = OUTAGES[case]
    for _ in range(2):  # the second one does not ask
        with pytest.raises(ServiceUnavailable):
            authenticator.authenticate(oidc.token())
    assert oidc.asked[path] == 1
    oidc.answers.clear()
    clock.seconds += PAUSE_SECONDS
    authenticator.authenticate(oidc.token())


def test_known_keys_go_on_through_an_outage_and_unknown_ones_are_no_refusal(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.answers["/certs"] = status(503)
    clock.seconds += FRESH_SECONDS
    for _ in range(5):
        authenticator.authenticate(oidc.token())
    assert oidc.asked["/certs"] == 2
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(signed(oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2"))
    clock.seconds += USABLE_SECONDS - FRESH_SECONDS
    with pytest.raises(ServiceUnavailable):
        authenticator.authenticate(oidc.token())


def test_keys_that_are_all_gone_at_once_are_an_outage(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    oidc.published.clear()
    clock.seconds += FRESH_SECONDS
    authenticator.authenticate(oidc.token())


def test_whoever_has_a_known_key_does_not_wait_for_a_slow_issuer(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock
) -> None:
    authenticator.authenticate(oidc.token())
    asking, go_on = threading.Event(), threading.Event()
    oidc.answers["/certs"] = held(asking, go_on)
    clock.seconds += FRESH_SECONDS
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(authenticator.authenticate, oidc.token())
        assert asking.wait(10)
        try:
            authenticator.authenticate(oidc.token())
            assert not first.done()
        finally:
            go_on.set()
        assert first.result().id == "4f1c"


def test_strangers_do_not_wait_for_a_slow_issuer_for_long(
    oidc: OidcServer, authenticator: OidcAuthenticator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_WAIT_SECONDS", 0.01)
    authenticator.authenticate(oidc.token())
    asking, go_on = threading.Event(), threading.Event()
    oidc.answers["/certs"] = held(asking, go_on)
    clock.seconds += PAUSE_SECONDS
    unknown = [signed(oidc.claims(), rsa_key("2"), "RS256", kid=f"made-up-{each}") for each in range(8)]
    with ThreadPoolExecutor(8) as pool:
        waiting = as_completed([pool.submit(authenticator.authenticate, token) for token in unknown])
        try:
            for _ in range(7):
                refused = next(waiting).exception()
                assert isinstance(refused, ServiceUnavailable)
                assert str(refused.__cause__) == "it has not answered yet"
        finally:
            go_on.set()
    assert oidc.asked["/certs"] == 2


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
def test_a_discovery_document_that_is_not_right_is_an_outage(
    oidc: OidcServer, issuer: Issuer, discovery: dict[str, Any]
) -> None:
    oidc.discovery |= discovery
    with pytest.raises(FetchFailed):
        issuer.key("rsa-1")


def test_an_issuer_that_is_protected_names_no_unprotected_url() -> None:
    name = "https://id.example.com/realms/hub"

    class Answering(Fetcher):
        def get(self, url: str) -> dict[str, Any]:
            assert url == f"{name}/.well-known/openid-configuration"
            return {"issuer": name, "jwks_uri": "http://id.example.com/certs"}

    with pytest.raises(FetchFailed, match="does not start with https://"):
        Issuer(name, Answering()).key("rsa-1")


def test_a_key_that_is_odd_hides_no_other(oidc: OidcServer, issuer: Issuer) -> None:
    odd = [
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
    oidc.published[:0] = odd
    assert issuer.key("rsa-1") is not None
    assert [issuer.key(kid) for kid in ("a", "b", "c", "rsa-oaep", "rsa-512")] == [None] * 5


def test_the_first_of_two_keys_of_one_id_holds(oidc: OidcServer, authenticator: OidcAuthenticator) -> None:
    oidc.published.append(jwk("rsa-1", ec_key("2")))
    authenticator.authenticate(oidc.token())


def test_nobody_at_the_address_is_told_in_words_without_the_address() -> None:
    with pytest.raises(FetchFailed, match=r"^Connection refused$"):
        Fetcher().get("http://127.0.0.1:1")


def test_an_answer_past_the_bound_is_none_though_its_start_would_do(oidc: OidcServer) -> None:
    oidc.answers["/certs"] = status(200, b"{}" + b" " * (MAX_BYTES - 2))
    assert Fetcher().get(f"{oidc.issuer}/certs") == {}
    oidc.answers["/certs"] = status(200, b"{}" + b" " * (MAX_BYTES - 1))
    with pytest.raises(FetchFailed, match="more than 512 KiB"):
        Fetcher().get(f"{oidc.issuer}/certs")


@pytest.mark.parametrize("code", [201, 206, 301, 302, 307, 400])
def test_another_status_is_no_answer_though_its_body_would_do(oidc: OidcServer, code: int) -> None:
    oidc.answers["/certs"] = status(code, Location=f"{oidc.issuer}/token")
    with pytest.raises(FetchFailed, match=f"status {code}"):
        Fetcher().get(f"{oidc.issuer}/certs")
    assert oidc.asked == {"/certs": 1}


SLOW: dict[str, Callable[[Any], None]] = {
    "no answer": hang,
    "an answer that trickles": trickle(b"HTTP/1.0 200 OK\r\n\r\n"),
    "headers that trickle": trickle(b"HTTP/1.0 200 OK\r\nX: "),
    "a status line that trickles": trickle(b"HTTP/1.0 200 "),
    "a chunk that trickles": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
}


@pytest.mark.parametrize("case", SLOW)
def test_the_bound_on_time_is_on_the_whole_answer(oidc: OidcServer, case: str) -> None:
    """Each byte comes well within it."""
    oidc.answers["/certs"] = SLOW[case]
    with pytest.raises(FetchFailed, match=r"within 0\.3 seconds"):
        Fetcher(0.3).get(f"{oidc.issuer}/certs")

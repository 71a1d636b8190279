"""Unsolicited, repeated and foreign callbacks, and malformed responses of an issuer."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api.auth.login_state import LOGIN_SECONDS, LoginState, LoginStateSigner
from tests.api.auth.oidc_server import CLIENT, OidcServer, ec_key, rsa_key, signed, status, unsigned
from tests.api.web.site import Clock, Visitor, Web
from tests.api.web.test_session import cookies
from tests.api.web.test_signin import CALLBACK, UNAVAILABLE, failed


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=x",
        "?state=x",
        "?code=x&state=x",
        "?error=access_denied",
        "?error=<script>&state=x",
        "?code=x&state=%F0%28%8C%28&code=%00",
        "?" + "a" * 4000,
    ],
)
def test_unsolicited_callback_does_not_sign_in(ann: Visitor, oidc: OidcServer, query: str) -> None:
    again = failed(ann.open(CALLBACK + query), 401, "The sign-in took too long, or was started in another browser.")
    assert again == "/api/session/login?next=%2F"
    ann.ask("GET", "/api/session/login?next=/jobs/job-1")
    again = failed(ann.open(CALLBACK + query), 401, "The sign-in took too long, or was started in another browser.")
    assert again == "/api/session/login?next=%2Fjobs%2Fjob-1"
    assert oidc.request_counts["/token"] == 0
    assert ann.session()["user"] is None


def sign_in_like_a_browser(visitor: Visitor) -> None:
    """Sign in as browsers do: they send no Strict cookie with a redirect from another site."""
    back = visitor.to_callback()
    strict = [cookie for cookie in visitor.cookies.cookies if cookie.name != "phjob_signin"]
    for cookie in strict:
        visitor.cookies.cookies.clear(cookie.domain, cookie.path, cookie.name)
    answer = visitor.open(back)
    received = {text.partition("=")[0] for text in cookies(answer)}
    for cookie in strict:
        if cookie.name not in received:
            visitor.cookies.cookies.set_cookie(cookie)


def test_new_session_replaces_all_cookies_of_the_old_one(hub: Web, ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.claims = {"groups": [f"group-{number:05}" for number in range(300)]}  # two cookies
    sign_in_like_a_browser(ann)
    assert {"phjob_token_1", "phjob_renewal"} <= ann.stored_cookies().keys()
    oidc.codes.answer = {"refresh_token": None}
    oidc.codes.claims = {"groups": ["research"], "preferred_username": "bob", "sub": "bob"}
    sign_in_like_a_browser(ann)
    assert ann.stored_cookies().keys() == {"phjob_token", "phjob_id_token"}
    assert ann.graphql().status_code == 200
    assert ann.session()["user"]["username"] == "bob"


def test_callback_of_another_browser_is_refused(hub: Web, ann: Visitor, oidc: OidcServer) -> None:
    mallory = hub.visitor().to_callback()
    failed(ann.open(mallory), 401, "was started in another browser")
    ann.ask("GET", "/api/session/login")
    failed(ann.open(mallory), 401, "was started in another browser")
    assert oidc.request_counts["/token"] == 0


def test_callback_works_once(ann: Visitor, oidc: OidcServer) -> None:
    back = ann.to_callback("/jobs/job-1")
    state_cookie = ann.stored_cookies()["phjob_signin"]
    assert ann.open(back).status_code == 303
    failed(ann.open(back), 401, "was started in another browser")
    replayed = ann.ask("GET", back, {"Cookie": f"phjob_signin={state_cookie}"})
    failed(replayed, 401, "The sign-in service refused the request; sign in again.")
    assert oidc.request_counts["/token"] == 2


def test_stolen_code_is_useless_in_another_browser(hub: Web, ann: Visitor, oidc: OidcServer) -> None:
    code = parse_qs(urlsplit(ann.to_callback()).query)["code"][0]
    mallory = hub.visitor()
    mallory.ask("GET", "/api/session/login")
    own = parse_qs(urlsplit(mallory.to_callback()).query)["state"][0]
    failed(mallory.open(f"{CALLBACK}?code={code}&state={own}"), 401, "The sign-in service refused the request")
    assert oidc.request_counts["/token"] == 1


def test_forged_or_expired_login_state_is_refused(ann: Visitor, hub: Web) -> None:
    back = ann.to_callback()
    state = parse_qs(urlsplit(back).query)["state"][0]
    state_cookie = ann.stored_cookies()["phjob_signin"]
    forged = LoginStateSigner(b"another" * 8, Clock()).encode(LoginState(state, "n", "v", "/"))
    for text in (forged, state_cookie[:-1], state_cookie.replace(".", "..", 1), "", "x", "e30.e30", state_cookie * 2):
        failed(ann.ask("GET", back, {"Cookie": f"phjob_signin={text}"}), 401, "was started in another browser")
    hub.clock.ahead = LOGIN_SECONDS + 1
    failed(ann.ask("GET", back, {"Cookie": f"phjob_signin={state_cookie}"}), 401, "The sign-in took too long")


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (503, b"{}"),
        (500, b"<html>"),
        (302, b"{}"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token": 7}'),
    ],
)
def test_issuer_failure_during_the_callback_is_reported(ann: Visitor, oidc: OidcServer, code: int, body: bytes) -> None:
    back = ann.to_callback("/jobs/job-1")
    oidc.handlers["/token"] = status(code, body, Location="https://evil.example.com/")
    again = failed(ann.open(back), 503, UNAVAILABLE)
    assert again == "/api/session/login?next=%2Fjobs%2Fjob-1"


@pytest.mark.parametrize(
    "document",
    [
        b'{"error": "invalid_grant"}',
        b'{"error": ["a"], "error_description": 7}',
        '{"error": "x", "error_description": "gr\u00fc\u00df <b>"}'.encode(),
        b'{"error": {}, "error_description": null}',
        b'{"access_token": "a", "expires_in": "soon"}',
        b'{"access_token": "a", "expires_in": []}',
    ],
)
@pytest.mark.parametrize("code", [200, 400, 401])
def test_issuer_errors_do_not_become_internal_errors(
    ann: Visitor, oidc: OidcServer, document: bytes, code: int
) -> None:
    back = ann.to_callback()
    oidc.handlers["/token"] = status(code, document)
    failed(ann.open(back), 401, "sign in again")


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_wrong_client_secret_is_reported_as_such(
    ann: Visitor, oidc: OidcServer, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    back = ann.to_callback()
    oidc.handlers["/token"] = status(401, f'{{"error": "{error}"}}'.encode())
    failed(ann.open(back), 503, "ask an administrator to check the client&#39;s id and secret.")
    assert f"sign-in failed error={error} client={CLIENT}" in caplog.text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"azp": "another"},
        {"aud": [CLIENT, "another"], "azp": None},
        {"iss": "https://evil.example.com"},
        {"exp": 1},
        {"sub": None},
        {"at_hash": "another"},
    ],
    ids=str,
)
def test_id_token_with_wrong_claims_is_refused(ann: Visitor, oidc: OidcServer, claims: dict[str, Any]) -> None:
    oidc.codes.id_claims = claims
    failed(ann.sign_in(), 401, "The sign-in service returned an invalid ID token; sign in again.")


@pytest.mark.parametrize("key", ["another", "none", "missing", "number"])
def test_id_token_with_a_wrong_signature_is_refused(ann: Visitor, oidc: OidcServer, key: str) -> None:
    def by_another(claims: dict[str, Any]) -> str:
        if key == "none":
            return unsigned({"alg": "none", "kid": "rsa-1"}, oidc.claims(**claims))
        return signed(oidc.claims(**claims), rsa_key("another"), "RS256", kid="rsa-1")

    if key in ("missing", "number"):
        oidc.codes.answer = {"id_token": None if key == "missing" else 7}
    else:
        oidc.codes._sign = by_another
    failed(ann.sign_in(), 401, "invalid ID token")


def test_id_token_signed_with_another_published_key_is_accepted(ann: Visitor, oidc: OidcServer) -> None:
    def by_curve(claims: dict[str, Any]) -> str:
        return signed(oidc.claims(**claims), ec_key("1"), "ES256", kid="ec-1")

    oidc.codes._sign = by_curve
    assert ann.sign_in().status_code == 303

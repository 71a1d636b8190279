"""Callbacks that nobody asked for, that come twice or from elsewhere, and odd answers of an issuer."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api.auth.attempts import SECONDS, Attempts
from api.auth.signin import Attempt
from tests.api.auth.oidc_server import CLIENT, OidcServer, ec_key, rsa_key, signed, status, unsigned
from tests.api.web.site import Clock, Visitor, Web
from tests.api.web.test_session import cookies
from tests.api.web.test_signin import CALLBACK, NOT_REACHED, failed


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
def test_a_callback_that_nobody_asked_for_lets_nobody_in(ann: Visitor, oidc: OidcServer, query: str) -> None:
    again = failed(ann.open(CALLBACK + query), 401, "Signing in took too long, or was begun in another browser.")
    assert again == "/api/session/login?next=%2F"
    ann.ask("GET", "/api/session/login?next=/jobs/job-1")
    again = failed(ann.open(CALLBACK + query), 401, "Signing in took too long, or was begun in another browser.")
    assert again == "/api/session/login?next=%2Fjobs%2Fjob-1"
    assert oidc.asked["/token"] == 0
    assert ann.session()["user"] is None


def come_back(visitor: Visitor) -> None:
    """As browsers do, which send no Strict cookie with what another site leads to."""
    back = visitor.to_callback()
    strict = [each for each in visitor.cookies.cookies if each.name != "phjob_signin"]
    for each in strict:
        visitor.cookies.cookies.clear(each.domain, each.path, each.name)
    answer = visitor.open(back)
    told = {text.partition("=")[0] for text in cookies(answer)}
    for each in strict:
        if each.name not in told:
            visitor.cookies.cookies.set_cookie(each)


def test_nothing_of_a_session_before_is_left_though_the_browser_keeps_it_back(
    hub: Web, ann: Visitor, oidc: OidcServer
) -> None:
    oidc.codes.claims = {"groups": [f"group-{number:05}" for number in range(300)]}  # two cookies
    come_back(ann)
    assert {"phjob_token_1", "phjob_renewal"} <= ann.kept().keys()
    oidc.codes.answer = {"refresh_token": None}
    oidc.codes.claims = {"groups": ["research"], "preferred_username": "bob", "sub": "bob"}
    come_back(ann)
    assert ann.kept().keys() == {"phjob_token"}
    assert ann.graphql().status_code == 200
    assert ann.session()["user"]["username"] == "bob"


def test_another_s_callback_signs_nobody_in_as_them(hub: Web, ann: Visitor, oidc: OidcServer) -> None:
    mallory = hub.visitor().to_callback()
    failed(ann.open(mallory), 401, "was begun in another browser")
    ann.ask("GET", "/api/session/login")
    failed(ann.open(mallory), 401, "was begun in another browser")
    assert oidc.asked["/token"] == 0


def test_a_callback_counts_once(ann: Visitor, oidc: OidcServer) -> None:
    back = ann.to_callback("/jobs/job-1")
    attempt = ann.kept()["phjob_signin"]
    assert ann.open(back).status_code == 303
    failed(ann.open(back), 401, "was begun in another browser")
    replayed = ann.ask("GET", back, {"Cookie": f"phjob_signin={attempt}"})
    failed(replayed, 401, "The sign-in service refused; sign in again.")
    assert oidc.asked["/token"] == 2


def test_a_stolen_code_is_worth_nothing_elsewhere(hub: Web, ann: Visitor, oidc: OidcServer) -> None:
    code = parse_qs(urlsplit(ann.to_callback()).query)["code"][0]
    mallory = hub.visitor()
    mallory.ask("GET", "/api/session/login")
    own = parse_qs(urlsplit(mallory.to_callback()).query)["state"][0]
    failed(mallory.open(f"{CALLBACK}?code={code}&state={own}"), 401, "The sign-in service refused")
    assert oidc.asked["/token"] == 1


def test_an_attempt_that_is_forged_or_old_is_none(ann: Visitor, hub: Web) -> None:
    back = ann.to_callback()
    state = parse_qs(urlsplit(back).query)["state"][0]
    attempt = ann.kept()["phjob_signin"]
    forged = Attempts(b"another" * 8, Clock()).pack(Attempt(state, "n", "v", "/"))
    for each in (forged, attempt[:-1], attempt.replace(".", "..", 1), "", "x", "e30.e30", attempt + attempt):
        failed(ann.ask("GET", back, {"Cookie": f"phjob_signin={each}"}), 401, "was begun in another browser")
    hub.clock.ahead = SECONDS + 1
    failed(ann.ask("GET", back, {"Cookie": f"phjob_signin={attempt}"}), 401, "Signing in took too long")


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
def test_an_issuer_that_goes_away_meanwhile_is_told_too(ann: Visitor, oidc: OidcServer, code: int, body: bytes) -> None:
    back = ann.to_callback("/jobs/job-1")
    oidc.answers["/token"] = status(code, body, Location="https://evil.example.com/")
    again = failed(ann.open(back), 503, NOT_REACHED)
    assert again == "/api/session/login?next=%2Fjobs%2Fjob-1"


@pytest.mark.parametrize(
    "document",
    [
        b'{"error": "invalid_client"}',
        b'{"error": ["a"], "error_description": 7}',
        '{"error": "x", "error_description": "gr\u00fc\u00df <b>"}'.encode(),
        b'{"error": {}, "error_description": null}',
        b'{"access_token": "a", "expires_in": "soon"}',
        b'{"access_token": "a", "expires_in": []}',
    ],
)
@pytest.mark.parametrize("code", [200, 400, 401])
def test_whatever_the_issuer_answers_is_no_fault_of_ours(
    ann: Visitor, oidc: OidcServer, document: bytes, code: int
) -> None:
    back = ann.to_callback()
    oidc.answers["/token"] = status(code, document)
    failed(ann.open(back), 401, "sign in again")


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
def test_an_id_token_that_is_not_for_this_attempt_lets_nobody_in(
    ann: Visitor, oidc: OidcServer, claims: dict[str, Any]
) -> None:
    oidc.codes.id_claims = claims
    failed(ann.sign_in(), 401, "The sign-in service&#39;s answer is not accepted; sign in again.")


@pytest.mark.parametrize("key", ["another", "none", "missing", "number"])
def test_an_id_token_that_is_not_the_issuer_s_lets_nobody_in(ann: Visitor, oidc: OidcServer, key: str) -> None:
    def by_another(claims: dict[str, Any]) -> str:
        if key == "none":
            return unsigned({"alg": "none", "kid": "rsa-1"}, oidc.claims(**claims))
        return signed(oidc.claims(**claims), rsa_key("another"), "RS256", kid="rsa-1")

    if key in ("missing", "number"):
        oidc.codes.answer = {"id_token": None if key == "missing" else 7}
    else:
        oidc.codes._sign = by_another
    failed(ann.sign_in(), 401, "answer is not accepted")


def test_an_id_token_by_another_key_of_the_issuer_s_will_do(ann: Visitor, oidc: OidcServer) -> None:
    def by_curve(claims: dict[str, Any]) -> str:
        return signed(oidc.claims(**claims), ec_key("1"), "ES256", kid="ec-1")

    oidc.codes._sign = by_curve
    assert ann.sign_in().status_code == 303

"""A session with an issuer: it goes on while the issuer renews it, and one that is ended here is ended there too."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.auth.oidc_server import CLIENT, OidcServer, status, unsigned
from tests.api.web.site import Visitor, Web
from tests.api.web.test_session import cookies
from tests.api.web.test_signin import ANN

TOKEN = "/token"


def sign_in(ann: Visitor, oidc: OidcServer, seconds: int) -> None:
    """Be signed in with a token that expires in so many seconds; the next ones live longer."""
    assert ann.sign_in().status_code == 303
    token = oidc.token(azp=CLIENT, exp=int(time.time()) + seconds)
    ann.cookies.cookies.set("phjob_token", token, domain="127.0.0.1", path="/")


def test_what_is_about_to_expire_is_renewed_and_nobody_notices(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 20)
    before = ann.kept()
    told = ann.session()
    assert (told["user"], told["notice"]) == (ANN, None)
    after = ann.kept()
    assert not [name for name in ("phjob_token", "phjob_renewal") if before[name] == after[name]]
    assert ann.graphql().status_code == 200
    asked = oidc.asked[TOKEN]
    assert ann.session()["expiresAt"] == told["expiresAt"]
    assert oidc.asked[TOKEN] == asked == 2


def test_what_has_expired_is_renewed_too(ann: Visitor, oidc: OidcServer, hub: Web) -> None:
    sign_in(ann, oidc, -100)
    assert ann.graphql().status_code == 401
    for _ in range(3):  # each time by the token that the last renewal gave
        assert ann.session()["user"] == ANN
        hub.clock.ahead += 300
    assert oidc.asked[TOKEN] == 4


def test_an_issuer_that_gives_no_new_refresh_token_is_asked_with_the_old_one(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.codes.rotates, oidc.codes.answer = False, {"refresh_token": None}
    kept = ann.kept()["phjob_renewal"]
    assert ann.session()["user"] == ANN
    assert ann.kept()["phjob_renewal"] == kept


def test_a_session_that_was_ended_there_has_expired(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 300)
    oidc.codes.end_sessions()
    assert ann.session()["user"] == ANN  # until the token expires, as for whoever sends it in a header
    sign_in(ann, oidc, -100)
    oidc.codes.end_sessions()
    told = ann.session()
    assert (told["user"], told["notice"]) == (None, "Your session has expired. Sign in again to go on.")
    assert told["signInUrl"] == "/api/session/login"


def test_while_the_issuer_is_away_a_session_lasts_as_long_as_its_token(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 20)
    oidc.answers[TOKEN] = status(503)
    assert ann.session()["user"] == ANN


def test_once_it_has_expired_the_page_may_ask_again(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.answers[TOKEN] = status(503)
    answer = ann.ask("GET", "/api/session")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    del oidc.answers[TOKEN]
    assert ann.session()["user"] == ANN


def test_whoever_is_no_longer_let_in_is_not_by_a_renewal(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.codes.claims = {"azp": "another"}
    assert ann.session()["user"] is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_renews_nothing(ann: Visitor, oidc: OidcServer, site: str) -> None:
    sign_in(ann, oidc, -100)
    assert ann.ask("GET", "/api/session", {"Sec-Fetch-Site": site}).status_code == 403
    assert oidc.asked[TOKEN] == 1


def test_the_refresh_token_is_no_session_by_itself(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 300)
    renewal = ann.kept()["phjob_renewal"]
    assert ann.ask("GET", "/api/session", {"Cookie": f"phjob_renewal={renewal}"}).json()["user"] == ANN
    ann.cookies.cookies.clear()
    assert ann.ask("POST", "/api/graphql", {"Cookie": f"phjob_renewal={renewal}"}, json={}).status_code == 401
    assert ann.enter(renewal).status_code == 401


def test_one_that_no_cookie_can_hold_is_not_kept(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.answer = {"refresh_token": "x" * 5000}
    ann.sign_in()
    assert "phjob_renewal" not in ann.kept()
    assert ann.session()["user"] == ANN


def test_a_header_renews_nothing(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    told = ann.ask("GET", "/api/session", {"Authorization": f"Bearer {oidc.token(azp=CLIENT)}"})
    assert told.json()["user"] == ANN
    assert cookies(told) == []
    assert oidc.asked[TOKEN] == 1


def test_signing_out_ends_the_session_there_too_and_leads_back(ann: Visitor, oidc: OidcServer) -> None:
    ann.sign_in()
    url = ann.ask("DELETE", "/api/session").json()["signOutUrl"]
    assert url.startswith(f"{oidc.issuer}/logout?")
    assert parse_qs(urlsplit(url).query) == {"client_id": [CLIENT], "post_logout_redirect_uri": [ann.url + "/"]}
    assert ann.kept() == {}
    assert ann.open(url).headers["Location"] == ann.url + "/"


def test_where_the_issuer_has_no_such_place_it_ends_here(ann: Visitor, oidc: OidcServer) -> None:
    del oidc.discovery["end_session_endpoint"]
    ann.sign_in()
    assert ann.ask("DELETE", "/api/session").json() == {"signOutUrl": None}
    assert ann.kept() == {}


def test_a_session_by_another_token_ends_here(ann: Visitor) -> None:
    for token in ("x", unsigned({"alg": "RS256"}, {"iss": "https://another.example.com"}, "c2ln")):
        answer = ann.ask("DELETE", "/api/session", {"Cookie": f"phjob_token={token}"})
        assert answer.json() == {"signOutUrl": None}

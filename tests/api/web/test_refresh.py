"""Sessions with an issuer: tokens are refreshed, and sign-out also ends the session at the issuer."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.auth.oidc_server import CLIENT, OidcServer, rsa_key, signed, status, unsigned
from tests.api.web.site import Visitor, Web
from tests.api.web.test_session import cookies
from tests.api.web.test_signin import ANN

TOKEN = "/token"


def sign_in(ann: Visitor, oidc: OidcServer, seconds: int) -> None:
    """Sign in with a token that expires in `seconds`; refreshed tokens last longer."""
    assert ann.sign_in().status_code == 303
    token = oidc.token(azp=CLIENT, exp=int(time.time()) + seconds)
    ann.cookies.cookies.set("phjob_token", token, domain="127.0.0.1", path="/")


def test_token_about_to_expire_is_refreshed(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 20)
    before = ann.stored_cookies()
    session = ann.session()
    assert (session["user"], session["notice"]) == (ANN, None)
    after = ann.stored_cookies()
    assert not [name for name in ("phjob_token", "phjob_renewal", "phjob_id_token") if before[name] == after[name]]
    assert ann.graphql().status_code == 200
    request_count = oidc.request_counts[TOKEN]
    assert ann.session()["expiresAt"] == session["expiresAt"]
    assert oidc.request_counts[TOKEN] == request_count == 2


def test_expired_token_is_refreshed(ann: Visitor, oidc: OidcServer, hub: Web) -> None:
    sign_in(ann, oidc, -100)
    assert ann.graphql().status_code == 401
    for _ in range(3):  # each time with the refresh token of the last refresh
        assert ann.session()["user"] == ANN
        hub.clock.ahead += 300
    assert oidc.request_counts[TOKEN] == 4


def test_refresh_token_is_kept_if_the_issuer_returns_no_new_one(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.codes.rotates, oidc.codes.answer = False, {"refresh_token": None}
    stored = ann.stored_cookies()["phjob_renewal"]
    assert ann.session()["user"] == ANN
    assert ann.stored_cookies()["phjob_renewal"] == stored


def test_session_ended_at_the_issuer_expires(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 300)
    oidc.codes.end_sessions()
    assert ann.session()["user"] == ANN  # until the token expires
    sign_in(ann, oidc, -100)
    oidc.codes.end_sessions()
    session = ann.session()
    assert (session["user"], session["notice"]) == (None, "Your session has expired. Sign in again to continue.")
    assert session["signInUrl"] == "/api/session/login"


def test_session_outlasts_an_issuer_outage_until_its_token_expires(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 20)
    oidc.handlers[TOKEN] = status(503)
    assert ann.session()["user"] == ANN


def test_expired_session_during_an_outage_gives_unavailable(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.handlers[TOKEN] = status(503)
    answer = ann.ask("GET", "/api/session")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    del oidc.handlers[TOKEN]
    assert ann.session()["user"] == ANN


def test_refreshed_token_is_verified(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    oidc.codes.claims = {"azp": "another"}
    assert ann.session()["user"] is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_cause_a_refresh(ann: Visitor, oidc: OidcServer, site: str) -> None:
    sign_in(ann, oidc, -100)
    assert ann.ask("GET", "/api/session", {"Sec-Fetch-Site": site}).status_code == 403
    assert oidc.request_counts[TOKEN] == 1


def test_refresh_token_authenticates_only_the_session_endpoint(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, 300)
    refresh_token = ann.stored_cookies()["phjob_renewal"]
    assert ann.ask("GET", "/api/session", {"Cookie": f"phjob_renewal={refresh_token}"}).json()["user"] == ANN
    ann.cookies.cookies.clear()
    assert ann.ask("POST", "/api/graphql", {"Cookie": f"phjob_renewal={refresh_token}"}, json={}).status_code == 401
    assert ann.enter(refresh_token).status_code == 401


def test_ambiguous_refresh_tokens_are_not_used(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    refresh_token = ann.stored_cookies()["phjob_renewal"]
    answer = ann.ask("GET", "/api/session", {"Cookie": f"phjob_renewal=planted; phjob_renewal={refresh_token}"})
    assert answer.json()["user"] is None
    assert oidc.request_counts[TOKEN] == 1


def test_oversized_refresh_token_is_not_stored(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.answer = {"refresh_token": "x" * 5000}
    ann.sign_in()
    assert "phjob_renewal" not in ann.stored_cookies()
    assert ann.session()["user"] == ANN


def test_request_with_authorization_header_is_not_refreshed(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    session = ann.ask("GET", "/api/session", {"Authorization": f"Bearer {oidc.token(azp=CLIENT)}"})
    assert session.json()["user"] == ANN
    assert cookies(session) == []
    assert oidc.request_counts[TOKEN] == 1


def sign_out_query(ann: Visitor, oidc: OidcServer) -> dict[str, list[str]]:
    """Sign out, and return the query of the address that ends the session with the issuer."""
    url = ann.ask("DELETE", "/api/session").json()["signOutUrl"]
    assert url.startswith(f"{oidc.issuer}/logout?")
    return parse_qs(urlsplit(url).query)


def test_sign_out_ends_the_issuers_session_and_returns(ann: Visitor, oidc: OidcServer) -> None:
    ann.sign_in()
    id_token = ann.stored_cookies()["phjob_id_token"]
    url = ann.ask("DELETE", "/api/session").json()["signOutUrl"]
    assert parse_qs(urlsplit(url).query) == {
        "client_id": [CLIENT],
        "post_logout_redirect_uri": [ann.url + "/"],
        "id_token_hint": [id_token],
    }
    assert ann.stored_cookies() == {}
    assert ann.open(url).headers["Location"] == ann.url + "/"
    assert oidc.codes.sign_outs[0]["id_token_hint"] == id_token


def test_sign_out_with_an_expired_id_token_still_names_the_session(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.id_claims = {"exp": int(time.time()) - 20}  # within the leeway of the sign-in
    ann.sign_in()
    expired = oidc.id_token({"aud": CLIENT, "exp": 1})
    ann.cookies.cookies.set("phjob_id_token", expired, domain="127.0.0.1", path="/api/session")
    assert sign_out_query(ann, oidc)["id_token_hint"] == [expired]


@pytest.mark.parametrize("fault", ["removed key", "another client", "no id token", "a part is missing"])
def test_id_token_that_the_issuer_would_refuse_is_not_sent(ann: Visitor, oidc: OidcServer, fault: str) -> None:
    ann.sign_in()
    id_token = {
        "removed key": signed(oidc.claims(aud=CLIENT), rsa_key("another"), "RS256", kid="removed"),
        "another client": oidc.id_token({"aud": "another"}),
        "no id token": "",
        "a part is missing": oidc.id_token({"aud": CLIENT})[:-10],
    }[fault]
    ann.cookies.cookies.set("phjob_id_token", id_token, domain="127.0.0.1", path="/api/session")
    assert sign_out_query(ann, oidc).keys() == {"client_id", "post_logout_redirect_uri"}
    assert ann.session()["user"] is None


def test_id_token_with_many_groups_is_split_and_too_long_ones_are_not_stored(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.id_claims = {"groups": [f"/group-{number:03}" for number in range(300)]}
    ann.sign_in()
    parts = [text for name, text in ann.stored_cookies().items() if name.startswith("phjob_id_token")]
    assert len(parts) == 2
    assert sign_out_query(ann, oidc)["id_token_hint"] == ["".join(parts)]
    oidc.codes.id_claims = {"groups": [f"/group-{number:03}" for number in range(600)]}
    ann.sign_in()
    assert [name for name in ann.stored_cookies() if name.startswith("phjob_id_token")] == []
    assert ann.session()["user"] == ANN
    assert "id_token_hint" not in sign_out_query(ann, oidc)


def test_id_token_is_kept_if_a_refresh_returns_none(ann: Visitor, oidc: OidcServer) -> None:
    sign_in(ann, oidc, -100)
    stored = ann.stored_cookies()["phjob_id_token"]
    oidc.codes.answer = {"id_token": None}
    assert ann.session()["user"] == ANN
    assert ann.stored_cookies()["phjob_id_token"] == stored


def test_user_who_does_not_follow_to_the_issuer_is_signed_out_here(ann: Visitor) -> None:
    ann.sign_in()
    assert ann.ask("DELETE", "/api/session").json()["signOutUrl"]
    assert ann.stored_cookies() == {}
    assert ann.session()["user"] is None
    assert ann.graphql().status_code == 401


def test_sign_out_without_an_end_session_endpoint_is_local(ann: Visitor, oidc: OidcServer) -> None:
    del oidc.discovery["end_session_endpoint"]
    ann.sign_in()
    assert ann.ask("DELETE", "/api/session").json() == {"signOutUrl": None}
    assert ann.stored_cookies() == {}


def test_sign_out_of_a_foreign_token_is_local(ann: Visitor) -> None:
    for token in ("x", unsigned({"alg": "RS256"}, {"iss": "https://another.example.com"}, "c2ln")):
        answer = ann.ask("DELETE", "/api/session", {"Cookie": f"phjob_token={token}"})
        assert answer.json() == {"signOutUrl": None}

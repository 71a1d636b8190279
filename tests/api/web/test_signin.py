"""Sign-in at an issuer: who can sign in, the page afterwards, and the error pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from api.auth.login_state import LOGIN_SECONDS
from tests.api.auth.oidc_server import CLIENT, CLIENT_SECRET, OidcServer, status
from tests.api.web.site import KEY, Visitor, Web, oidc_settings, serving
from tests.api.web.test_page import Document, assert_security_headers
from tests.api.web.test_session import cookies

ANN = {"username": "ann", "groups": ["research", "Team_A"], "isAdmin": False}
CALLBACK = "/api/session/callback"
UNAVAILABLE = "The sign-in service does not answer; retry later."
RETRY_LINK = re.compile(r'href="(/api/session/login\?[^"]*)"')


def failed(answer: requests.Response, code: int, text: str) -> str:
    """Assert that the response is an error page with this text and no session; return the URL of its retry link."""
    assert answer.status_code == code, answer.text
    assert text in answer.text
    assert "Sign-in failed" in answer.text
    assert_security_headers(answer.headers)
    assert Document(answer.text).forbidden == []
    assert not [cookie for cookie in cookies(answer) if cookie.startswith("phjob_token=")]
    (retry_url,) = RETRY_LINK.findall(answer.text)
    return str(retry_url)


def test_sign_in_returns_to_the_page_it_started_from(ann: Visitor, oidc: OidcServer) -> None:
    assert (session := ann.session())["mode"] == "oidc"
    assert (session["signInUrl"], session["user"]) == ("/api/session/login", None)
    back = ann.sign_in("/jobs/job-1/artifacts?path=plots%2F")
    assert (back.status_code, back.headers["Location"]) == (303, "/jobs/job-1/artifacts?path=plots%2F")
    session = ann.session()
    assert (session["user"], session["canSignOut"]) == (ANN, True)
    assert session["expiresAt"]
    assert ann.graphql().status_code == 200
    (request,) = oidc.codes.authorization_requests
    assert request["client_id"] == CLIENT
    assert len(request["state"]) >= 43
    assert len({request["state"], request["nonce"], request["code_challenge"]}) == 3


def test_each_login_has_its_own_secrets(ann: Visitor, oidc: OidcServer) -> None:
    ann.sign_in()
    ann.sign_in()
    first, second = oidc.codes.authorization_requests
    assert not [name for name in ("state", "nonce", "code_challenge") if first[name] == second[name]]


def test_sign_in_cookies_have_their_attributes(ann: Visitor) -> None:
    login = ann.ask("GET", "/api/session/login")
    (state_cookie,) = cookies(login)
    assert re.sub("=[^;]*", "", state_cookie, count=1).startswith("phjob_signin; ")
    assert state_cookie.endswith(f"; Max-Age={LOGIN_SECONDS}; HttpOnly; Path={CALLBACK}; SameSite=Lax")
    set_by = {text.partition("=")[0]: text.partition("; ")[2] for text in cookies(ann.sign_in())}
    assert set_by["phjob_token"] == "HttpOnly; Path=/; SameSite=Strict"
    assert set_by["phjob_renewal"] == "HttpOnly; Path=/api/session; SameSite=Strict"
    assert set_by["phjob_id_token"] == "HttpOnly; Path=/api/session; SameSite=Strict"
    assert "Max-Age=0" in set_by["phjob_signin"]


def test_cookies_behind_https_are_secure(tmp_path: Path, oidc: OidcServer) -> None:
    configured = oidc_settings(oidc, PHJOB_API_ORIGIN="https://hub.example.com")
    oidc.codes.redirects.add(f"https://hub.example.com{CALLBACK}")
    with serving(tmp_path, configured) as web:
        visitor = web.visitor()
        login = visitor.ask("GET", "/api/session/login")
        back = visitor.open(login.headers["Location"]).headers["Location"].replace("https://hub.example.com", web.url)
        state_cookie = cookies(login)[0].partition(";")[0]
        answer = visitor.ask("GET", back, {"Cookie": state_cookie})
    set_by = cookies(login) + cookies(answer)
    kept = {text.partition("=")[0] for text in set_by if "=;" not in text}
    assert kept == {"__Secure-phjob_signin", "__Host-phjob_token", "__Secure-phjob_renewal", "__Secure-phjob_id_token"}
    assert [text for text in set_by if "; Secure; HttpOnly; " not in text] == []


@pytest.mark.parametrize(
    "then",
    [
        "https://evil.example.com/",
        "//evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        " //evil.example.com",
        "javascript:alert(1)",
        "evil.example.com",
        "@evil.example.com",
        "/jobs\r\nSet-Cookie: phjob_token=x",
        "/jobs/\u2028",
        "/a b",
        "/api/session/login?next=/",
        "/api/files/groups/a/jobArtifacts/b/c",
        "/" + "a" * 4000,
        "",
    ],
)
def test_next_path_to_another_site_is_ignored(ann: Visitor, then: str) -> None:
    back = ann.sign_in(then)
    assert (back.status_code, back.headers["Location"]) == (303, "/")
    assert ann.session()["user"] == ANN


@pytest.mark.parametrize("then", ["/", "/jobs/job-1", "/?state=Failed&search=a%20b#x", "/jobs/a%2F%2Fb", "/apis"])
def test_next_path_to_any_own_page_is_followed(ann: Visitor, then: str) -> None:
    assert ann.sign_in(then).headers["Location"] == then


def test_any_replica_can_complete_the_sign_in(tmp_path: Path, ann: Visitor, oidc: OidcServer) -> None:
    back = ann.to_callback("/jobs/job-1")
    configured = oidc_settings(oidc, PHJOB_API_ORIGIN=ann.url, PHJOB_API_LINK_KEY=KEY)
    with serving(tmp_path, configured) as other:
        answer = ann.open(back.replace(ann.url, other.url))
    assert answer.headers["Location"] == "/jobs/job-1"


@pytest.mark.parametrize("error", ["access_denied", "login_required", "server_error", "<script>alert(1)</script>"])
def test_refusal_by_the_issuer_is_shown_and_can_be_retried(
    ann: Visitor, oidc: OidcServer, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    oidc.codes.denies = error
    answer = ann.sign_in("/jobs/job-1")
    again = failed(answer, 401, "The sign-in was cancelled, or refused by the sign-in service.")
    assert "alert" not in answer.text
    assert "you</b>" not in answer.text
    assert f"error={'unknown' if 'script' in error else error}" in caplog.text
    oidc.codes.denies = ""
    oidc.codes.authorization_requests.clear()
    assert ann.open(ann.open(again, "same-origin").headers["Location"]).status_code == 302
    assert len(oidc.codes.authorization_requests) == 1


def test_unavailable_issuer_is_reported_without_a_traceback(ann: Visitor, oidc: OidcServer, caplog: Any) -> None:
    oidc.handlers["/.well-known/openid-configuration"] = status(503)
    failed(ann.ask("GET", "/api/session/login"), 503, UNAVAILABLE)
    assert "Traceback" not in caplog.text
    assert "it answered with status 503" in caplog.text


def test_access_token_for_another_service_is_reported(tmp_path: Path, oidc: OidcServer) -> None:
    configured = oidc_settings(oidc, PHJOB_API_OIDC_AUDIENCES="another")
    with serving(tmp_path, configured) as web:
        oidc.codes.redirects.add(f"{web.url}{CALLBACK}")
        visitor = web.visitor()
        failed(visitor.sign_in(), 401, "Invalid token: it was issued for another service (see its aud and azp).")
        assert visitor.session()["user"] is None


def test_user_with_many_groups_can_sign_in(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.claims = {"groups": [f"/group-{number:04d}" for number in range(400)]}
    assert ann.sign_in().status_code == 303
    assert {"phjob_token", "phjob_token_1"} <= ann.stored_cookies().keys()
    assert len(ann.session()["user"]["groups"]) == 400
    oidc.codes.claims = {}
    ann.sign_in()
    assert "phjob_token_1" not in ann.stored_cookies()


@pytest.fixture(params=["public", "confidential"])
def client(request: pytest.FixtureRequest, tmp_path: Path, oidc: OidcServer) -> Iterator[Web]:
    """A service that is a public or a confidential client of the issuer."""
    secret = "" if request.param == "public" else CLIENT_SECRET
    oidc.client_secret = secret or None
    with serving(tmp_path, oidc_settings(oidc, PHJOB_API_OIDC_CLIENT_SECRET=secret)) as web:
        oidc.codes.redirects.add(f"{web.url}{CALLBACK}")
        yield web


def test_public_and_confidential_clients_can_sign_in(client: Web) -> None:
    assert client.visitor().sign_in().status_code == 303


@pytest.mark.parametrize("missing", ["PHJOB_API_OIDC_CLIENT_ID", "PHJOB_API_ORIGIN"])
def test_without_sign_in_settings_tokens_still_sign_in(tmp_path: Path, oidc: OidcServer, missing: str) -> None:
    with serving(tmp_path, oidc_settings(oidc, **{missing: ""})) as web:
        visitor = web.visitor()
        session = visitor.session()
        assert (session["mode"], session["signInUrl"]) == ("token", None)
        assert visitor.ask("GET", "/api/session/login").status_code == 404
        assert visitor.enter(oidc.token(azp=CLIENT)).json()["user"] == ANN


def test_callback_can_lead_to_the_pages_urls(ann: Visitor) -> None:
    path = "/jobs/job-1/artifacts?path=" + quote("a b/ü", safe="")
    assert ann.open(ann.sign_in(path).headers["Location"]).status_code == 200

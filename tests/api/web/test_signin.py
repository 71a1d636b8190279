"""Signing in at an issuer: who is let in, where one is then, and what one is told where it does not work."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from api.auth.attempts import SECONDS
from tests.api.auth.oidc_server import CLIENT, CLIENT_SECRET, OidcServer, status
from tests.api.web.site import KEY, Visitor, Web, oidc_settings, serving
from tests.api.web.test_page import Document, bounded
from tests.api.web.test_session import cookies

ANN = {"username": "ann", "groups": ["research", "Team_A"], "isAdmin": False}
CALLBACK = "/api/session/callback"
NOT_REACHED = "The sign-in service cannot be reached now; try again in a while."
AGAIN = re.compile(r'href="(/api/session/login\?[^"]*)"')


def failed(answer: requests.Response, code: int, text: str) -> str:
    """Fail unless it is a page that says so and nothing else; returns where it says to try again."""
    assert answer.status_code == code, answer.text
    assert text in answer.text
    assert "Signing in did not work" in answer.text
    bounded(answer.headers)
    assert Document(answer.text).forbidden == []
    assert not [cookie for cookie in cookies(answer) if cookie.startswith("phjob_token=")]
    (again,) = AGAIN.findall(answer.text)
    return str(again)


def test_one_signs_in_at_the_issuer_and_is_back_where_one_was(ann: Visitor, oidc: OidcServer) -> None:
    assert (told := ann.session())["mode"] == "oidc"
    assert (told["signInUrl"], told["user"]) == ("/api/session/login", None)
    back = ann.sign_in("/jobs/job-1/artifacts?path=plots%2F")
    assert (back.status_code, back.headers["Location"]) == (303, "/jobs/job-1/artifacts?path=plots%2F")
    told = ann.session()
    assert (told["user"], told["canSignOut"]) == (ANN, True)
    assert told["expiresAt"]
    assert ann.graphql().status_code == 200
    (asked,) = oidc.codes.asked
    assert asked["client_id"] == CLIENT
    assert len(asked["state"]) >= 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


def test_each_attempt_has_secrets_of_its_own(ann: Visitor, oidc: OidcServer) -> None:
    ann.sign_in()
    ann.sign_in()
    first, second = oidc.codes.asked
    assert not [name for name in ("state", "nonce", "code_challenge") if first[name] == second[name]]


def test_the_cookies_are_for_no_script_and_no_other_site(ann: Visitor) -> None:
    login = ann.ask("GET", "/api/session/login")
    (attempt,) = cookies(login)
    assert re.sub("=[^;]*", "", attempt, count=1).startswith("phjob_signin; ")
    assert attempt.endswith(f"; Max-Age={SECONDS}; HttpOnly; Path={CALLBACK}; SameSite=Lax")
    set_by = {text.partition("=")[0]: text.partition("; ")[2] for text in cookies(ann.sign_in())}
    assert set_by["phjob_token"] == "HttpOnly; Path=/; SameSite=Strict"
    assert set_by["phjob_renewal"] == "HttpOnly; Path=/api/session; SameSite=Strict"
    assert "Max-Age=0" in set_by["phjob_signin"]


def test_behind_https_each_cookie_goes_by_nothing_else(tmp_path: Path, oidc: OidcServer) -> None:
    told = oidc_settings(oidc, PHJOB_API_ORIGIN="https://hub.example.com")
    oidc.codes.redirects.add(f"https://hub.example.com{CALLBACK}")
    with serving(tmp_path, told) as web:
        visitor = web.visitor()
        login = visitor.ask("GET", "/api/session/login")
        back = visitor.open(login.headers["Location"]).headers["Location"].replace("https://hub.example.com", web.url)
        attempt = cookies(login)[0].partition(";")[0]
        answer = visitor.ask("GET", back, {"Cookie": attempt})
    set_by = cookies(login) + cookies(answer)
    assert {text.partition("=")[0] for text in set_by} >= {"phjob_signin", "phjob_token", "phjob_renewal"}
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
def test_nobody_is_led_to_another_site(ann: Visitor, then: str) -> None:
    back = ann.sign_in(then)
    assert (back.status_code, back.headers["Location"]) == (303, "/")
    assert ann.session()["user"] == ANN


@pytest.mark.parametrize("then", ["/", "/jobs/job-1", "/?state=Failed&search=a%20b#x", "/jobs/a%2F%2Fb", "/apis"])
def test_one_is_led_to_any_page_of_ours(ann: Visitor, then: str) -> None:
    assert ann.sign_in(then).headers["Location"] == then


def test_any_replica_can_finish(tmp_path: Path, ann: Visitor, oidc: OidcServer) -> None:
    back = ann.to_callback("/jobs/job-1")
    told = oidc_settings(oidc, PHJOB_API_ORIGIN=ann.url, PHJOB_API_LINK_KEY=KEY)
    with serving(tmp_path, told) as other:
        answer = ann.open(back.replace(ann.url, other.url))
    assert answer.headers["Location"] == "/jobs/job-1"


@pytest.mark.parametrize("error", ["access_denied", "login_required", "server_error", "<script>alert(1)</script>"])
def test_whoever_is_refused_there_is_told_and_may_try_again(
    ann: Visitor, oidc: OidcServer, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    oidc.codes.denies = error
    answer = ann.sign_in("/jobs/job-1")
    again = failed(answer, 401, "The sign-in service let nobody in: it was cancelled there, or refused.")
    assert "alert" not in answer.text
    assert "you</b>" not in answer.text
    assert f"error={'unknown' if 'script' in error else error}" in caplog.text
    oidc.codes.denies = ""
    oidc.codes.asked.clear()
    assert ann.open(ann.open(again, "same-origin").headers["Location"]).status_code == 302
    assert len(oidc.codes.asked) == 1


def test_an_issuer_that_is_away_is_told_without_a_trace(ann: Visitor, oidc: OidcServer, caplog: Any) -> None:
    oidc.answers["/.well-known/openid-configuration"] = status(503)
    failed(ann.ask("GET", "/api/session/login"), 503, NOT_REACHED)
    assert "Traceback" not in caplog.text
    assert "it answered with status 503" in caplog.text


def test_an_access_token_for_another_service_is_told(tmp_path: Path, oidc: OidcServer) -> None:
    told = oidc_settings(oidc, PHJOB_API_OIDC_AUDIENCES="another")
    with serving(tmp_path, told) as web:
        oidc.codes.redirects.add(f"{web.url}{CALLBACK}")
        visitor = web.visitor()
        failed(visitor.sign_in(), 401, "The token was issued for another service (see its aud and azp).")
        assert visitor.session()["user"] is None


def test_a_user_of_many_groups_gets_in(ann: Visitor, oidc: OidcServer) -> None:
    oidc.codes.claims = {"groups": [f"/group-{number:04d}" for number in range(400)]}
    assert ann.sign_in().status_code == 303
    assert {"phjob_token", "phjob_token_1"} <= ann.kept().keys()
    assert len(ann.session()["user"]["groups"]) == 400
    oidc.codes.claims = {}
    ann.sign_in()
    assert "phjob_token_1" not in ann.kept()


@pytest.fixture(params=["public", "confidential"])
def client(request: pytest.FixtureRequest, tmp_path: Path, oidc: OidcServer) -> Iterator[Web]:
    """A service that is one or the other client of the issuer."""
    secret = "" if request.param == "public" else CLIENT_SECRET
    oidc.client_secret = secret or None
    with serving(tmp_path, oidc_settings(oidc, PHJOB_API_OIDC_CLIENT_SECRET=secret)) as web:
        oidc.codes.redirects.add(f"{web.url}{CALLBACK}")
        yield web


def test_a_client_may_have_a_secret_or_none(client: Web) -> None:
    assert client.visitor().sign_in().status_code == 303


@pytest.mark.parametrize("lacking", ["PHJOB_API_OIDC_CLIENT_ID", "PHJOB_API_ORIGIN"])
def test_without_what_it_takes_tokens_still_sign_in(tmp_path: Path, oidc: OidcServer, lacking: str) -> None:
    with serving(tmp_path, oidc_settings(oidc, **{lacking: ""})) as web:
        visitor = web.visitor()
        told = visitor.session()
        assert (told["mode"], told["signInUrl"]) == ("token", None)
        assert visitor.ask("GET", "/api/session/login").status_code == 404
        assert visitor.enter(oidc.token(azp=CLIENT)).json()["user"] == ANN


def test_the_page_s_addresses_are_what_the_callback_may_lead_to(ann: Visitor) -> None:
    place = "/jobs/job-1/artifacts?path=" + quote("a b/ü", safe="")
    assert ann.open(ann.sign_in(place).headers["Location"]).status_code == 200

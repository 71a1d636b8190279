"""A browser's session: a token in a cookie that scripts cannot read and other sites' pages cannot set or delete."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from api.auth.cookies import COOKIE
from api.auth.tokens import MAX_TOKEN_BYTES, Authenticators, make_authenticators
from tests.api.auth.oidc_server import unsigned
from tests.api.auth.service import settings
from tests.api.web.conftest import ISSUER
from tests.api.web.site import CALLERS, NameAuthenticator, Visitor, Web, serving

ALICE = {"username": "alice", "groups": ["Team_A"], "isAdmin": False}
FOREIGN = "https://evil.example.com"


def token(seconds: int = 300, size: int = 0) -> str:
    """Return a token with an expiry."""
    return unsigned({"alg": "RS256"}, {"iss": ISSUER, "exp": int(time.time()) + seconds, "x": "x" * size}, "c2ln")


def cookies(answer: Any) -> list[str]:
    """Return the Set-Cookie headers."""
    found: list[str] = answer.raw.headers.getlist("Set-Cookie")
    return found


def test_new_browser_is_not_signed_in(visitor: Visitor) -> None:
    assert visitor.session() == {
        "mode": "token",
        "local": False,
        "user": None,
        "expiresAt": None,
        "canSignOut": False,
        "signInUrl": None,
        "notice": None,
    }
    assert visitor.graphql().status_code == 401


def test_token_signs_in_until_sign_out(visitor: Visitor) -> None:
    session = visitor.enter("alice").json()
    assert (session["user"], session["canSignOut"]) == (ALICE, True)
    assert visitor.session() == session
    assert visitor.graphql().status_code == 200
    assert visitor.ask("DELETE", "/api/session").json() == {"signOutUrl": None}
    assert visitor.stored_cookies() == {}
    assert visitor.session()["user"] is None


def test_cookie_is_http_only_and_strict(visitor: Visitor) -> None:
    assert cookies(visitor.enter("alice")) == ["phjob_token=alice; HttpOnly; Path=/; SameSite=Strict"]


@pytest.mark.parametrize("origin", ["https://{host}", "https://hub.example.com"])
def test_cookie_set_over_https_is_secure(tmp_path: Path, authenticator: NameAuthenticator, origin: str) -> None:
    configured = {"PHJOB_API_ORIGIN": "https://hub.example.com"} if "hub" in origin else {}
    with serving(tmp_path, configured, Authenticators(opaque=authenticator)) as web:
        visitor = web.visitor()
        headers = {"Origin": origin.format(host=web.url.partition("//")[2])}
        answer = visitor.ask("POST", "/api/session", headers, json={"token": "alice"})
    assert cookies(answer) == ["__Host-phjob_token=alice; Secure; HttpOnly; Path=/; SameSite=Strict"]


def test_behind_https_only_cookies_of_this_host_are_read(tmp_path: Path, authenticator: NameAuthenticator) -> None:
    configured = {"PHJOB_API_ORIGIN": "https://hub.example.com"}
    with serving(tmp_path, configured, Authenticators(opaque=authenticator)) as web:
        visitor = web.visitor()
        planted = visitor.ask("GET", "/api/session", {"Cookie": "phjob_token=root"})
        signed_in = visitor.ask("GET", "/api/session", {"Cookie": "phjob_token=root; __Host-phjob_token=alice"})
    assert (planted.json()["user"], planted.json()["notice"]) == (None, None)
    assert signed_in.json()["user"] == ALICE


def test_cookie_of_this_host_precedes_one_without_prefix(visitor: Visitor) -> None:
    answer = visitor.ask("GET", "/api/session", {"Cookie": "phjob_token=root; __Host-phjob_token=alice"})
    assert answer.json()["user"] == ALICE


def test_sign_in_over_https_deletes_cookies_without_prefix(tmp_path: Path, authenticator: NameAuthenticator) -> None:
    configured = {"PHJOB_API_ORIGIN": "https://hub.example.com"}
    with serving(tmp_path, configured, Authenticators(opaque=authenticator)) as web:
        headers = {"Origin": "https://hub.example.com", "Cookie": "phjob_token=old; phjob_token_1=older"}
        answer = web.visitor().ask("POST", "/api/session", headers, json={"token": "alice"})
    deleted = {text.partition("=")[0] for text in cookies(answer) if "Max-Age=0" in text}
    assert deleted == {"phjob_token", "phjob_token_1"}


def test_refused_token_keeps_the_current_session(visitor: Visitor) -> None:
    visitor.enter("alice")
    answer = visitor.enter("mallory")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert visitor.session()["user"] == ALICE


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": None},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_sites_cannot_sign_in_or_out(visitor: Visitor, method: str, headers: dict[str, str | None]) -> None:
    visitor.enter("alice")
    answer = visitor.ask(method, "/api/session", headers, data=json.dumps({"token": "root"}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "NOT_AUTH")
    assert cookies(answer) == []
    assert visitor.session()["user"] == ALICE


def test_other_sites_cannot_read_the_session(visitor: Visitor) -> None:
    visitor.enter("alice")
    answer = visitor.ask("GET", "/api/session", {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    plain = visitor.ask("GET", "/api/session", {"Origin": FOREIGN})
    assert not [name for name in plain.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"alice"', "{}", '{"token": null}', '{"token": ["alice"]}'])
def test_malformed_body_is_a_bad_request(visitor: Visitor, body: str) -> None:
    answer = visitor.ask("POST", "/api/session", data=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("text", ["", " ", "alice\r\nSet-Cookie: a=b", "a;b", "ä", "x" * (MAX_TOKEN_BYTES + 1)])
def test_malformed_token_sets_no_cookie(visitor: Visitor, authenticator: NameAuthenticator, text: str) -> None:
    authenticator.tokens[text] = CALLERS["root"]
    answer = visitor.enter(text)
    assert answer.status_code == 401
    assert cookies(answer) == []


def test_oversized_body_is_refused(visitor: Visitor) -> None:
    answer = visitor.enter("x" * 60_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize("size", [0, 3000, 9000])
def test_long_token_is_split_over_several_cookies(
    visitor: Visitor, authenticator: NameAuthenticator, size: int
) -> None:
    authenticator.tokens[long := token(size=size)] = CALLERS["alice"]
    answer = visitor.enter(long)
    assert len(visitor.stored_cookies()) == 1 + len(long) // 3800
    for cookie in cookies(answer):
        assert len(cookie) < 4096
        assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict")
    assert visitor.session()["user"] == ALICE
    assert visitor.graphql().status_code == 200
    visitor.enter("root")
    assert visitor.stored_cookies() == {COOKIE: "root"}
    visitor.enter(long)
    visitor.ask("DELETE", "/api/session")
    assert visitor.stored_cookies() == {}


def test_token_with_a_missing_part_is_refused(visitor: Visitor, authenticator: NameAuthenticator) -> None:
    authenticator.tokens[long := token(size=9000)] = CALLERS["alice"]
    visitor.enter(long)
    visitor.cookies.cookies.clear("127.0.0.1", "/", "phjob_token_1")
    assert visitor.session()["user"] is None


@pytest.mark.parametrize("name", [COOKIE, f"{COOKIE}_1"])
def test_duplicate_cookies_are_refused(visitor: Visitor, authenticator: NameAuthenticator, name: str) -> None:
    authenticator.tokens["ab"] = CALLERS["alice"]
    pieces = f"{COOKIE}=a; {COOKIE}_1=b; {name}=c"
    session = visitor.ask("GET", "/api/session", {"Cookie": pieces}).json()
    assert session["user"] is None
    assert session["notice"] == f"There are several cookies {name}; delete them and sign in again."
    assert (
        visitor.ask("POST", "/api/graphql", {"Cookie": pieces}, json={"query": "{ phJobs { id } }"}).status_code == 401
    )
    signed_out = visitor.ask("DELETE", "/api/session", {"Cookie": pieces})
    assert signed_out.status_code == 200


def test_session_shows_its_expiry_and_then_that_it_has_expired(
    visitor: Visitor, web: Web, authenticator: NameAuthenticator
) -> None:
    authenticator.tokens[short := token(300)] = CALLERS["alice"]
    expiry = visitor.enter(short).json()["expiresAt"]
    assert abs(time.mktime(time.strptime(expiry, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time() - 300) < 3
    del authenticator.tokens[short]
    assert visitor.session()["notice"] == "The token is not accepted."
    web.clock.ahead = 301
    session = visitor.session()
    assert (session["user"], session["notice"]) == (None, "Your session has expired. Sign in again to continue.")


@pytest.mark.parametrize("expiry", ["soon", None, [], -1, 0, 1e308, 10**400, float("inf")])
def test_invalid_expiry_is_not_shown(visitor: Visitor, authenticator: NameAuthenticator, expiry: Any) -> None:
    odd = unsigned({"alg": "RS256"}, {"iss": ISSUER, "exp": expiry}, "c2ln")
    authenticator.tokens[odd] = CALLERS["alice"]
    session = visitor.enter(odd).json()
    assert (session["user"], session["expiresAt"]) == (ALICE, None)


def test_authorization_header_overrides_the_cookie_and_sets_none(visitor: Visitor) -> None:
    visitor.enter("alice")
    session = visitor.ask("GET", "/api/session", {"Authorization": "Bearer root"}).json()
    assert (session["user"]["username"], session["canSignOut"]) == ("root", False)
    assert visitor.ask("GET", "/api/session", {"Authorization": "Bearer none"}).json()["user"] is None
    assert visitor.session()["user"] == ALICE


def test_without_authentication_there_is_no_sign_in(tmp_path: Path) -> None:
    with serving(tmp_path, authenticators=make_authenticators(settings(), None)) as web:
        visitor = web.visitor()
        session = visitor.session()
        assert (session["mode"], session["user"]["isAdmin"], session["canSignOut"]) == ("none", True, False)
        assert cookies(visitor.enter("anything")) == []


def test_session_shows_local_mode(tmp_path: Path, authenticator: NameAuthenticator) -> None:
    with serving(tmp_path, authenticators=Authenticators(opaque=authenticator), is_local=True) as web:
        assert web.visitor().session()["local"] is True


def test_sessions_are_not_cached(visitor: Visitor) -> None:
    for answer in (visitor.ask("GET", "/api/session"), visitor.enter("alice"), visitor.ask("DELETE", "/api/session")):
        assert answer.headers["Cache-Control"] == "no-store"

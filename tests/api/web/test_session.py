"""A browser's session: a token in a cookie that no script reads, which only our own page may set or remove."""

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
from tests.api.web.site import CALLERS, Known, Visitor, Web, serving

ALICE = {"username": "alice", "groups": ["Team_A"], "isAdmin": False}
FOREIGN = "https://evil.example.com"


def token(seconds: int = 300, size: int = 0) -> str:
    """A token that tells when it expires."""
    return unsigned({"alg": "RS256"}, {"iss": ISSUER, "exp": int(time.time()) + seconds, "x": "x" * size}, "c2ln")


def cookies(answer: Any) -> list[str]:
    """The Set-Cookie headers."""
    found: list[str] = answer.raw.headers.getlist("Set-Cookie")
    return found


def test_nobody_is_signed_in_at_first(visitor: Visitor) -> None:
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


def test_a_token_signs_in_until_one_signs_out(visitor: Visitor) -> None:
    told = visitor.enter("alice").json()
    assert (told["user"], told["canSignOut"]) == (ALICE, True)
    assert visitor.session() == told
    assert visitor.graphql().status_code == 200
    assert visitor.ask("DELETE", "/api/session").json() == {"signOutUrl": None}
    assert visitor.kept() == {}
    assert visitor.session()["user"] is None


def test_no_script_can_read_the_cookie_and_no_other_site_makes_it_be_sent(visitor: Visitor) -> None:
    assert cookies(visitor.enter("alice")) == ["phjob_token=alice; HttpOnly; Path=/; SameSite=Strict"]


@pytest.mark.parametrize("origin", ["https://{host}", "https://hub.example.com"])
def test_a_cookie_that_came_by_https_goes_by_nothing_else(tmp_path: Path, known: Known, origin: str) -> None:
    told = {"PHJOB_API_ORIGIN": "https://hub.example.com"} if "hub" in origin else {}
    with serving(tmp_path, told, Authenticators(opaque=known)) as web:
        visitor = web.visitor()
        headers = {"Origin": origin.format(host=web.url.partition("//")[2])}
        answer = visitor.ask("POST", "/api/session", headers, json={"token": "alice"})
    assert cookies(answer) == ["phjob_token=alice; Secure; HttpOnly; Path=/; SameSite=Strict"]


def test_a_token_that_is_not_accepted_leaves_who_was_signed_in(visitor: Visitor) -> None:
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
def test_another_site_signs_nobody_in_or_out(visitor: Visitor, method: str, headers: dict[str, str | None]) -> None:
    visitor.enter("alice")
    answer = visitor.ask(method, "/api/session", headers, data=json.dumps({"token": "root"}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "NOT_AUTH")
    assert cookies(answer) == []
    assert visitor.session()["user"] == ALICE


def test_another_site_is_not_told_who_is_signed_in(visitor: Visitor) -> None:
    visitor.enter("alice")
    answer = visitor.ask("GET", "/api/session", {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    plain = visitor.ask("GET", "/api/session", {"Origin": FOREIGN})
    assert not [name for name in plain.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"alice"', "{}", '{"token": null}', '{"token": ["alice"]}'])
def test_what_is_no_token_is_told(visitor: Visitor, body: str) -> None:
    answer = visitor.ask("POST", "/api/session", data=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("text", ["", " ", "alice\r\nSet-Cookie: a=b", "a;b", "ä", "x" * (MAX_TOKEN_BYTES + 1)])
def test_what_no_header_can_carry_becomes_no_cookie(visitor: Visitor, known: Known, text: str) -> None:
    known.tokens[text] = CALLERS["root"]
    answer = visitor.enter(text)
    assert answer.status_code == 401
    assert cookies(answer) == []


def test_what_is_far_too_long_is_not_read(visitor: Visitor) -> None:
    answer = visitor.enter("x" * 60_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize("size", [0, 3000, 9000])
def test_a_token_with_many_groups_takes_several_cookies(visitor: Visitor, known: Known, size: int) -> None:
    known.tokens[long := token(size=size)] = CALLERS["alice"]
    answer = visitor.enter(long)
    assert len(visitor.kept()) == 1 + len(long) // 3800
    for cookie in cookies(answer):
        assert len(cookie) < 4096
        assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict")
    assert visitor.session()["user"] == ALICE
    assert visitor.graphql().status_code == 200
    visitor.enter("root")
    assert visitor.kept() == {COOKIE: "root"}
    visitor.enter(long)
    visitor.ask("DELETE", "/api/session")
    assert visitor.kept() == {}


def test_a_piece_that_is_missing_makes_the_token_another_one(visitor: Visitor, known: Known) -> None:
    known.tokens[long := token(size=9000)] = CALLERS["alice"]
    visitor.enter(long)
    visitor.cookies.cookies.clear("127.0.0.1", "/", "phjob_token_1")
    assert visitor.session()["user"] is None


@pytest.mark.parametrize("name", [COOKIE, f"{COOKIE}_1"])
def test_two_cookies_of_a_name_are_neither_s_session(visitor: Visitor, known: Known, name: str) -> None:
    known.tokens["ab"] = CALLERS["alice"]
    pieces = f"{COOKIE}=a; {COOKIE}_1=b; {name}=c"
    told = visitor.ask("GET", "/api/session", {"Cookie": pieces}).json()
    assert told["user"] is None
    assert told["notice"] == f"There are several cookies {name}; remove them and sign in again."
    assert (
        visitor.ask("POST", "/api/graphql", {"Cookie": pieces}, json={"query": "{ phJobs { id } }"}).status_code == 401
    )
    signed_out = visitor.ask("DELETE", "/api/session", {"Cookie": pieces})
    assert signed_out.status_code == 200


def test_the_session_tells_when_it_expires_and_then_that_it_has(visitor: Visitor, web: Web, known: Known) -> None:
    known.tokens[short := token(300)] = CALLERS["alice"]
    expiry = visitor.enter(short).json()["expiresAt"]
    assert abs(time.mktime(time.strptime(expiry, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time() - 300) < 3
    del known.tokens[short]
    assert visitor.session()["notice"] == "The token is not accepted."
    web.clock.ahead = 301
    told = visitor.session()
    assert (told["user"], told["notice"]) == (None, "Your session has expired. Sign in again to go on.")


@pytest.mark.parametrize("expiry", ["soon", None, [], -1, 0, 1e308, 10**400, float("inf")])
def test_an_expiry_that_is_none_is_not_told(visitor: Visitor, known: Known, expiry: Any) -> None:
    odd = unsigned({"alg": "RS256"}, {"iss": ISSUER, "exp": expiry}, "c2ln")
    known.tokens[odd] = CALLERS["alice"]
    told = visitor.enter(odd).json()
    assert (told["user"], told["expiresAt"]) == (ALICE, None)


def test_a_header_decides_alone_and_makes_no_session(visitor: Visitor) -> None:
    visitor.enter("alice")
    told = visitor.ask("GET", "/api/session", {"Authorization": "Bearer root"}).json()
    assert (told["user"]["username"], told["canSignOut"]) == ("root", False)
    assert visitor.ask("GET", "/api/session", {"Authorization": "Bearer none"}).json()["user"] is None
    assert visitor.session()["user"] == ALICE


def test_where_everybody_is_let_in_nobody_signs_in(tmp_path: Path) -> None:
    with serving(tmp_path, authenticators=make_authenticators(settings(), None)) as web:
        visitor = web.visitor()
        told = visitor.session()
        assert (told["mode"], told["user"]["isAdmin"], told["canSignOut"]) == ("none", True, False)
        assert cookies(visitor.enter("anything")) == []


def test_local_mode_is_told(tmp_path: Path, known: Known) -> None:
    with serving(tmp_path, authenticators=Authenticators(opaque=known), is_local=True) as web:
        assert web.visitor().session()["local"] is True


def test_sessions_are_kept_by_no_cache(visitor: Visitor) -> None:
    for answer in (visitor.ask("GET", "/api/session"), visitor.enter("alice"), visitor.ask("DELETE", "/api/session")):
        assert answer.headers["Cache-Control"] == "no-store"

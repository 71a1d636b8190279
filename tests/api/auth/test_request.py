"""Authentication by header or cookie, and what a page of another web site cannot make a browser do."""

from collections.abc import Iterator

import pytest

from api.auth.caller import Caller
from api.auth.cookies import COOKIE
from tests.api.auth.service import SITE, Service, Spy, serving

TOKEN = "a-token-of-one-start-0123456789"
HEADER = ("Authorization", f"Bearer {TOKEN}")
WITH_COOKIE = ("Cookie", f"theme=dark; {COOKIE}={TOKEN}")
JSON = ("Content-Type", "application/json; charset=utf-8")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
ANN = Caller("4f1c", "ann", ("research",))


@pytest.fixture
def spy() -> Spy:
    return Spy(ANN)


@pytest.fixture
def service(spy: Spy) -> Iterator[Service]:
    with serving(spy, others=[SITE]) as running:
        yield running


@pytest.fixture
def open_service() -> Iterator[Service]:
    """A service without authentication."""
    with serving(Spy(ANN), anonymous=Caller("anonymous", "anonymous", is_admin=True)) as running:
        yield running


def own(service: Service) -> tuple[str, str]:
    return "Origin", f"http://{service.host}"


def test_cookie_authenticates_reads_of_the_own_page(service: Service, spy: Spy) -> None:
    assert service.ask(headers=[WITH_COOKIE]).json["username"] == "ann"
    assert service.ask("HEAD", headers=[WITH_COOKIE]).status == 200
    assert spy.received_tokens == [TOKEN, TOKEN]


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_cookie_reads_only_for_same_origin_pages(service: Service, spy: Spy, site: str, status: int) -> None:
    assert service.ask(headers=[WITH_COOKIE, ("Sec-Fetch-Site", site)]).status == status
    assert bool(spy.received_tokens) == (status == 200)


def test_header_authenticates_requests_of_other_sites(service: Service) -> None:
    assert service.ask(headers=[HEADER, ("Sec-Fetch-Site", "cross-site")]).status == 200


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_cookie_authenticates_json_changes_of_the_own_page(service: Service, method: str) -> None:
    assert service.ask(method, "/change", [WITH_COOKIE, JSON, own(service)], b"{}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [JSON, ("Origin", "null")],
        [JSON, ("Origin", "")],
        [JSON, ("Origin", SITE)],
        [JSON, ("Origin", "https://evil.example.com")],
        [JSON, ("Origin", "http://127.0.0.1:1")],
        [JSON, ("Origin", "http://127.0.0.1")],
        [JSON, ("Origin", "http://{host}.evil.example.com")],
        [JSON, ("Origin", "http://{host}/")],
        [JSON, ("Origin", "http://{host} http://{host}")],
        [JSON, ("Origin", "http://{host}"), ("Origin", "https://evil.example.com")],
        [JSON, ("Origin", "http://{host}"), ("Sec-Fetch-Site", "cross-site")],
        [FORM, ("Origin", "http://{host}")],
        [("Content-Type", "text/plain; application/json"), ("Origin", "http://{host}")],
        [("Content-Type", "multipart/form-data; boundary=x"), ("Origin", "http://{host}")],
        [("Origin", "http://{host}")],
    ],
    ids=lambda headers: " ".join(value for _, value in headers),
)
def test_cookie_changes_nothing_otherwise(service: Service, spy: Spy, headers: list[tuple[str, str]]) -> None:
    sent = [WITH_COOKIE, *((name, value.replace("{host}", service.host)) for name, value in headers)]
    for method in ("POST", "DELETE"):
        answer = service.ask(method, "/change", sent, b"{}")
        assert (answer.status, answer.json["error"]["code"]) == (403, "NOT_AUTH")
    assert not spy.received_tokens


def test_form_requires_the_header(service: Service) -> None:
    assert service.ask("POST", "/change", [HEADER, FORM], b"query=a").status == 200
    assert service.ask("POST", "/change", [FORM], b"query=a").status == 401


def test_header_overrides_the_cookie(service: Service, spy: Spy) -> None:
    other = ("Authorization", "Bearer another")
    for sent in ([other, WITH_COOKIE], [WITH_COOKIE, other]):
        service.ask("POST", "/change", [*sent, FORM], b"query=a")
    assert spy.received_tokens == ["another", "another"]
    spy.received_tokens.clear()
    for bad in ("", "Basic YTpi", "Bearer"):
        service.ask(headers=[("Authorization", bad), WITH_COOKIE])
    assert TOKEN not in spy.received_tokens


def test_cookie_does_not_replace_a_refused_header(service: Service, spy: Spy) -> None:
    spy.caller = None
    assert service.ask(headers=[HEADER, WITH_COOKIE]).status == 401
    assert len(spy.received_tokens) == 1


@pytest.mark.parametrize("cookie", [f"{COOKIE}={TOKEN}; {COOKIE}=other", f"{COOKIE}=other; {COOKIE}={TOKEN}"])
def test_duplicate_cookie_is_refused(service: Service, spy: Spy, cookie: str) -> None:
    assert service.ask(headers=[("Cookie", cookie)]).status == 401
    assert not spy.received_tokens


def test_cookies_of_other_names_are_ignored(service: Service, spy: Spy) -> None:
    assert service.ask(headers=[("Cookie", f"x{COOKIE}={TOKEN}; {COOKIE.upper()}={TOKEN}")]).status == 401
    assert not spy.received_tokens


def test_without_authentication_other_sites_can_do_nothing(open_service: Service) -> None:
    service = open_service
    assert service.ask().json["is_admin"]
    assert service.ask("POST", "/change", [JSON], b"{}").status == 200
    assert service.ask("POST", "/change", [JSON, own(service)], b"{}").status == 200
    assert service.ask("POST", "/change", [FORM], b"query=a").status == 403
    assert service.ask("POST", "/change", [], b"").status == 403
    assert service.ask("POST", "/change", [("Content-Type", "text/plain")], b"{}").status == 403
    assert service.ask("POST", "/change", [JSON, ("Origin", "https://evil.example.com")], b"{}").status == 403
    assert service.ask(headers=[("Sec-Fetch-Site", "cross-site")]).status == 403

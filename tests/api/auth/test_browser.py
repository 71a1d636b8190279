"""Host, Origin and CORS, for every request whoever sends it; and the headers that bound every answer."""

from collections.abc import Iterator

import pytest

from api.auth.caller import Caller
from api.auth.origins import Origins
from tests.api.auth.service import SITE, Service, Spy, serving

HEADER = ("Authorization", "Bearer a-token")
EVIL = "https://evil.example.com"
PREFLIGHT = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Spy(Caller("4f1c", "ann"))) as running:
        yield running


@pytest.fixture
def shared() -> Iterator[Service]:
    """A service whose settings name another web site."""
    with serving(Spy(Caller("4f1c", "ann")), others=[SITE]) as running:
        yield running


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"])
def test_a_host_that_names_loopback_is_served(service: Service, host: str) -> None:
    assert service.ask(path="/open", host=host.replace("{port}", str(service.port))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "evil.example.com:{port}",
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "localhost.:{port}",
        "localhost:{port}.evil.example.com",
        "user@localhost:{port}",
        "127.0.0.1.nip.io:{port}",
        "0.0.0.0:{port}",
        "",
    ],
)
def test_a_host_that_was_made_to_point_here_is_not(service: Service, host: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        for path in ("/open", "/me", "/nothing-here"):
            asked = service.ask(method, path, [HEADER], host=host.replace("{port}", str(service.port)))
            assert (asked.status, asked.json["error"]["code"]) == (403, "NOT_AUTH")


def test_two_hosts_are_none(service: Service) -> None:
    assert service.ask(path="/open", headers=[("Host", "evil.example.com")]).status == 403


@pytest.mark.parametrize(
    ("listen", "origin", "host", "served"),
    [
        (("127.0.0.1", 80), "", "localhost", True),
        (("127.0.0.1", 80), "", "localhost:80", True),
        (("127.0.0.2", 8080), "", "127.0.0.2:8080", True),
        (("127.0.0.1", 8080), "", "127.0.0.2:8080", False),
        (("127.0.0.1", 8080), "http://localhost:9000", "localhost:9000", True),
        (("127.0.0.1", 8080), "https://Hub.example.com", "hub.example.com", True),
        (("127.0.0.1", 8080), "https://hub.example.com", "evil.example.com", False),
        (("0.0.0.0", 8080), "", "hub.example.com", True),  # a pod's: whoever has no token gets nothing there
    ],
)
def test_which_hosts_lead_here(listen: tuple[str, int], origin: str, host: str, served: bool) -> None:
    assert Origins(listen, origin, ()).is_host(host) is served


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "own"),
    [
        ("http://hub:8080", "http", "hub:8080", True),
        ("HTTP://Hub:8080", "http", "hub:8080", True),
        ("https://hub", "http", "hub", True),  # TLS ended before us
        ("http://hub", "https", "hub", False),
        ("https://hub:8443", "http", "hub", False),
        ("https://told.example.com", "http", "inner:8080", True),
        ("http://told.example.com", "http", "inner:8080", False),
        ("", "http", "", False),
        ("null", "http", "null", False),
    ],
)
def test_which_origins_are_our_own(origin: str, scheme: str, host: str, own: bool) -> None:
    assert Origins(("0.0.0.0", 8080), "https://told.example.com", ()).is_own(origin, scheme, host) is own


@pytest.mark.parametrize("origin", [EVIL, "null", "", SITE])
def test_a_foreign_page_changes_nothing_even_with_a_token(service: Service, origin: str) -> None:
    answer = service.ask("POST", "/change", [HEADER, ("Origin", origin)])
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_foreign_page_reads_nothing(service: Service) -> None:
    assert service.ask(headers=[HEADER, ("Origin", EVIL)]).status == 200  # which its browser does not let it read
    for headers in ([HEADER, ("Origin", EVIL)], [("Origin", EVIL), *PREFLIGHT]):
        for method in ("GET", "OPTIONS"):
            answer = service.ask(method, headers=headers)
            assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]


def test_our_own_page_changes(service: Service) -> None:
    assert service.ask("POST", "/change", [HEADER, ("Origin", f"http://{service.host}")]).status == 200


def test_who_is_no_browser_changes(service: Service) -> None:
    assert service.ask("POST", "/change", [HEADER]).status == 200


def test_a_named_site_is_told_what_it_may(shared: Service) -> None:
    answer = shared.ask("OPTIONS", "/change", [("Origin", SITE), *PREFLIGHT])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Vary"] == "Origin"


def test_a_named_site_reads_and_changes_with_a_token(shared: Service) -> None:
    for method, path in (("GET", "/me"), ("POST", "/change")):
        answer = shared.ask(method, path, [HEADER, ("Origin", SITE)])
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, SITE)
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_named_site_changes_nothing_without_a_token(shared: Service) -> None:
    assert shared.ask("POST", "/change", [("Origin", SITE)]).status == 403


@pytest.mark.parametrize(
    "origin", [EVIL, SITE + ".evil.example.com", SITE + "/", SITE.replace("https", "http"), "null"]
)
def test_another_site_than_the_named_one_gets_nothing(shared: Service, origin: str) -> None:
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", [HEADER]), ("POST", [HEADER])):
        answer = shared.ask(method, "/me", [("Origin", origin), *headers])
        assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]
        assert "Origin" in answer.headers["Vary"]


def test_a_refusal_can_be_read_by_the_named_site(shared: Service) -> None:
    assert shared.ask(headers=[("Origin", SITE)]).headers["Access-Control-Allow-Origin"] == SITE


@pytest.mark.parametrize("path", ["/me", "/nothing-here"])
def test_every_answer_is_bounded(service: Service, path: str) -> None:
    headers = service.ask(path=path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_what_an_answer_says_itself_stays(shared: Service) -> None:
    headers = shared.ask(path="/open").headers
    assert headers.get_all("Content-Security-Policy") == ["sandbox"]
    assert headers["Vary"] == "Accept, Origin"

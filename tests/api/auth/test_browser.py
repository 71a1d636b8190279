"""Host, Origin and CORS checks of every request, and the security headers of every response."""

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
def cors_service() -> Iterator[Service]:
    """A service whose settings allow another web site."""
    with serving(Spy(Caller("4f1c", "ann")), others=[SITE]) as running:
        yield running


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"])
def test_loopback_hosts_are_served(service: Service, host: str) -> None:
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
def test_foreign_hosts_are_refused(service: Service, host: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        for path in ("/open", "/me", "/missing"):
            response = service.ask(method, path, [HEADER], host=host.replace("{port}", str(service.port)))
            assert (response.status, response.json["error"]["code"]) == (403, "NOT_AUTH")


def test_two_host_headers_are_refused(service: Service) -> None:
    assert service.ask(path="/open", headers=[("Host", "evil.example.com")]).status == 403


@pytest.mark.parametrize(
    ("listen", "origin", "host", "allowed"),
    [
        (("127.0.0.1", 80), "", "localhost", True),
        (("127.0.0.1", 80), "", "localhost:80", True),
        (("127.0.0.2", 8080), "", "127.0.0.2:8080", True),
        (("127.0.0.1", 8080), "", "127.0.0.2:8080", False),
        (("127.0.0.1", 8080), "http://localhost:9000", "localhost:9000", True),
        (("127.0.0.1", 8080), "https://Hub.example.com", "hub.example.com", True),
        (("127.0.0.1", 8080), "https://hub.example.com", "evil.example.com", False),
        (("0.0.0.0", 8080), "", "hub.example.com", True),  # in a pod, where tokens protect the service
    ],
)
def test_allowed_hosts(listen: tuple[str, int], origin: str, host: str, allowed: bool) -> None:
    assert Origins(listen, origin, ()).is_allowed_host(host) is allowed


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "own"),
    [
        ("http://hub:8080", "http", "hub:8080", True),
        ("HTTP://Hub:8080", "http", "hub:8080", True),
        ("https://hub", "http", "hub", True),  # a proxy terminates TLS
        ("http://hub", "https", "hub", False),
        ("https://hub:8443", "http", "hub", False),
        ("https://configured.example.com", "http", "inner:8080", True),
        ("http://configured.example.com", "http", "inner:8080", False),
        ("", "http", "", False),
        ("null", "http", "null", False),
    ],
)
def test_own_origins(origin: str, scheme: str, host: str, own: bool) -> None:
    assert Origins(("0.0.0.0", 8080), "https://configured.example.com", ()).is_own(origin, scheme, host) is own


@pytest.mark.parametrize("origin", [EVIL, "null", "", SITE])
def test_foreign_page_cannot_change_anything_even_with_a_token(service: Service, origin: str) -> None:
    answer = service.ask("POST", "/change", [HEADER, ("Origin", origin)])
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_foreign_page_cannot_read(service: Service) -> None:
    assert service.ask(headers=[HEADER, ("Origin", EVIL)]).status == 200  # the browser hides the response from the page
    for headers in ([HEADER, ("Origin", EVIL)], [("Origin", EVIL), *PREFLIGHT]):
        for method in ("GET", "OPTIONS"):
            answer = service.ask(method, headers=headers)
            assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]


def test_own_page_can_change(service: Service) -> None:
    assert service.ask("POST", "/change", [HEADER, ("Origin", f"http://{service.host}")]).status == 200


def test_client_without_origin_can_change(service: Service) -> None:
    assert service.ask("POST", "/change", [HEADER]).status == 200


def test_preflight_of_allowed_site_succeeds(cors_service: Service) -> None:
    answer = cors_service.ask("OPTIONS", "/change", [("Origin", SITE), *PREFLIGHT])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Vary"] == "Origin"


def test_allowed_site_reads_and_changes_with_a_token(cors_service: Service) -> None:
    for method, path in (("GET", "/me"), ("POST", "/change")):
        answer = cors_service.ask(method, path, [HEADER, ("Origin", SITE)])
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, SITE)
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_allowed_site_changes_nothing_without_a_token(cors_service: Service) -> None:
    assert cors_service.ask("POST", "/change", [("Origin", SITE)]).status == 403


@pytest.mark.parametrize(
    "origin", [EVIL, SITE + ".evil.example.com", SITE + "/", SITE.replace("https", "http"), "null"]
)
def test_other_sites_get_no_cors_headers(cors_service: Service, origin: str) -> None:
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", [HEADER]), ("POST", [HEADER])):
        answer = cors_service.ask(method, "/me", [("Origin", origin), *headers])
        assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]
        assert "Origin" in answer.headers["Vary"]


def test_refusal_is_readable_by_the_allowed_site(cors_service: Service) -> None:
    assert cors_service.ask(headers=[("Origin", SITE)]).headers["Access-Control-Allow-Origin"] == SITE


@pytest.mark.parametrize("path", ["/me", "/missing"])
def test_every_response_has_security_headers(service: Service, path: str) -> None:
    headers = service.ask(path=path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_headers_set_by_a_view_stay(cors_service: Service) -> None:
    headers = cors_service.ask(path="/open").headers
    assert headers.get_all("Content-Security-Policy") == ["sandbox"]
    assert headers["Vary"] == "Accept, Origin"

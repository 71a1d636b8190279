"""Signing in at an identity provider on another site, and with the address that local mode prints."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from api.auth.cookies import COOKIE
from api.auth.tokens import Authenticators
from tests.api.auth.oidc_server import CLIENT, OidcServer, oidc_server
from tests.api.web.site import NameAuthenticator, Web, oidc_settings, serving
from tests.web.conftest import OpenUrl

PLACE = "/jobs/job-1/artifacts?path=plots%2F"


@pytest.fixture
def oidc() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


@pytest.fixture
def hub(tmp_path: Path, oidc: OidcServer) -> Iterator[str]:
    """The service's URL. For a browser, localhost and the provider's 127.0.0.1 are two sites."""
    with serving(tmp_path, oidc_settings(oidc, PHJOB_API_ORIGIN="http://localhost:PORT")) as web:
        url = web.url.replace("127.0.0.1", "localhost")
        oidc.codes.redirects.add(f"{url}/api/session/callback")
        yield url


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Web]:
    """A service in local mode, whose tokens are user names."""
    with serving(tmp_path, authenticators=Authenticators(opaque=NameAuthenticator()), is_local=True) as web:
        yield web


def sign_in(page: Page) -> None:
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("banner")).to_contain_text("ann")


def test_signing_in_at_the_provider_returns_to_the_address(open_url: OpenUrl, hub: str) -> None:
    page = open_url(hub, PLACE)
    sign_in(page)
    assert page.url == hub + PLACE
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.get_by_role("banner")).to_contain_text("ann")
    page.go_back()
    expect(page.get_by_role("banner")).to_contain_text("ann")


def test_an_expired_session_is_renewed_silently(open_url: OpenUrl, hub: str, oidc: OidcServer) -> None:
    page = open_url(hub, "/")
    sign_in(page)
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expired = oidc.token(azp=CLIENT, exp=int(time.time()) - 100)
    page.context.add_cookies([{"name": COOKIE, "value": expired, "url": hub}])
    with page.expect_response(lambda answer: answer.url.endswith("/api/graphql") and answer.ok):
        page.get_by_label("Search").fill("more")
    expect(page.get_by_role("heading", name="No matching jobs")).to_be_visible()
    assert page.url == f"{hub}/?search=more"
    assert oidc.request_counts["/token"] == 2


def test_a_session_is_renewed_before_it_expires(open_url: OpenUrl, hub: str, oidc: OidcServer) -> None:
    page = open_url(hub, "/")
    sign_in(page)
    page.clock.install()
    soon = oidc.token(azp=CLIENT, exp=int(time.time()) + 32)  # the service renews within 30 seconds, the page within 20
    page.context.add_cookies([{"name": COOKIE, "value": soon, "url": hub}])
    page.reload()
    expect(page.get_by_role("banner")).to_contain_text("ann")
    page.wait_for_timeout(2500)
    with page.expect_response("**/api/session"):
        page.clock.fast_forward(12_000)
    expect(page.get_by_role("banner")).to_contain_text("ann")
    assert oidc.request_counts["/token"] == 2


def test_a_session_ended_at_the_provider_asks_to_sign_in_again(open_url: OpenUrl, hub: str, oidc: OidcServer) -> None:
    page = open_url(hub, "/?state=Failed")
    sign_in(page)
    oidc.codes.end_sessions()
    page.context.add_cookies([{"name": COOKIE, "value": oidc.token(azp=CLIENT, exp=1), "url": hub}])
    page.get_by_label("Search").fill("more")
    expect(page.get_by_text("Your session has ended. Sign in again to continue.")).to_be_visible()
    expect(page.get_by_role("banner")).not_to_contain_text("ann")
    page.reload()
    expect(page.get_by_text("Your session has expired. Sign in again to continue.")).to_be_visible()
    sign_in(page)
    assert page.url == f"{hub}/?state=Failed&search=more"


def test_signing_out_ends_the_session_at_the_provider(open_url: OpenUrl, hub: str, oidc: OidcServer) -> None:
    page = open_url(hub, PLACE)
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("main").get_by_role("link", name="Sign in")).to_be_visible()
    assert page.url == f"{hub}/"
    assert page.context.cookies() == []
    assert oidc.request_counts["/logout"] == 1


def test_a_refused_sign_in_can_be_retried(open_url: OpenUrl, hub: str, oidc: OidcServer) -> None:
    oidc.codes.denies = "access_denied"
    page = open_url(hub, PLACE)
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sign-in failed")).to_be_visible()
    expect(page.get_by_text("The sign-in was cancelled, or refused by the sign-in service.")).to_be_visible()
    oidc.codes.denies = ""
    page.get_by_role("link", name="Retry").click()
    expect(page.get_by_role("banner")).to_contain_text("ann")
    assert page.url == hub + PLACE


def test_the_printed_address_signs_in_without_sending_the_token(open_url: OpenUrl, local: Web) -> None:
    page = open_url(local.url, "/static/icon.svg")
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))
    page.goto(f"{local.url}/jobs?state=Failed#token=alice")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    assert page.url == f"{local.url}/jobs?state=Failed"
    assert [url for url in requested_urls if "alice" in url.partition("#")[0]] == []
    page.goto(f"{local.url}/jobs?state=Failed#token=root")  # the open page is not reloaded
    expect(page.get_by_role("banner")).to_contain_text("root")
    assert page.url == f"{local.url}/jobs?state=Failed"


def test_the_printed_address_of_an_earlier_start_is_rejected(open_url: OpenUrl, local: Web) -> None:
    page = open_url(local.url, "/#token=earlier")
    expect(page.get_by_role("status").filter(has_text="The token in the address was not accepted")).to_be_visible()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.url == f"{local.url}/"

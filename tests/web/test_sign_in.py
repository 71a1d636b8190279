"""Signing in with a token, signing out, and sessions that end; the user returns to the same address."""

from playwright.sync_api import Page, expect

from tests.web.conftest import OpenPage
from tests.web.site import CALLERS, Site

PLACE = "/jobs/job-collected/artifacts?path=plots%2F"


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_with_a_token_returns_to_the_address(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, PLACE, user="")
    expect(page).to_have_title("Sign in · Job artifacts")
    sign_in(page, "unknown")
    expect(page.get_by_role("alert")).to_contain_text("The token is not accepted")
    expect(page.get_by_label("Token")).to_be_focused()
    sign_in(page, " alice ")
    expect(page.get_by_role("link", name="Preview loss.png")).to_be_visible()
    assert page.url == states.url + PLACE
    expect(page.get_by_role("banner")).to_contain_text("alice")
    (cookie,) = page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert "alice" not in str(page.evaluate("[document.cookie, JSON.stringify(localStorage)]"))


def test_signing_out_ends_the_session(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out.")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_focused()
    assert page.context.cookies() == []
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)


def test_an_ended_session_asks_to_sign_in_and_returns(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-1", name="train"))
    page = open_page(site, "/jobs/job-1")
    expect(page.get_by_text("All 3 files were collected")).to_be_visible()
    site.users.accepted.clear()
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Your session has ended. Sign in again to continue.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("banner")).not_to_contain_text("alice")
    site.users.accepted |= CALLERS
    sign_in(page, "alice")
    expect(page.get_by_role("heading", name="train")).to_be_focused()
    expect(page.get_by_text("All 3 files were collected")).to_be_visible()


def test_an_invalid_session_asks_to_sign_in(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/jobs/job-collected", user="gone")
    sign_in(page, "alice")
    expect(page.get_by_role("heading", name="train resnet")).to_be_visible()


def test_a_failed_start_can_be_retried(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    page.route("**/api/session", lambda route: route.abort())
    page.reload()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The service cannot be reached.")
    page.unroute("**/api/session")
    alert.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()

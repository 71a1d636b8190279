"""One signs in with a token and is back where one was; a session that has ended is told, and loses no place."""

from playwright.sync_api import Page, expect

from tests.web.conftest import Visit
from tests.web.site import CALLERS, Site

PLACE = "/jobs/job-collected/artifacts?path=plots%2F"


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_a_token_leads_to_the_place_that_was_asked_for(visit: Visit, states: Site) -> None:
    page = visit(states, PLACE, user="")
    expect(page).to_have_title("Sign in · Job artifacts")
    sign_in(page, "nobody")
    expect(page.get_by_role("alert")).to_contain_text("The token is not accepted")
    expect(page.get_by_label("Token")).to_be_focused()
    sign_in(page, " alice ")
    expect(page.get_by_role("link", name="Preview loss.png")).to_be_visible()
    assert page.url == states.url + PLACE
    expect(page.get_by_role("banner")).to_contain_text("alice")
    (cookie,) = page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert "alice" not in str(page.evaluate("[document.cookie, JSON.stringify(localStorage)]"))


def test_signing_out_ends_the_session(visit: Visit, states: Site) -> None:
    page = visit(states)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out.")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_focused()
    assert page.context.cookies() == []
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)


def test_a_session_that_ends_is_told_and_leads_back(visit: Visit, site: Site) -> None:
    site.world.leave(site.world.add("job-1", name="train"))
    page = visit(site, "/jobs/job-1")
    expect(page.get_by_text("All 3 files were collected")).to_be_visible()
    site.people.known.clear()
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Your session has ended. Sign in again to continue.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("banner")).not_to_contain_text("alice")
    site.people.known |= CALLERS
    sign_in(page, "alice")
    expect(page.get_by_role("heading", name="train")).to_be_focused()
    expect(page.get_by_text("All 3 files were collected")).to_be_visible()


def test_a_session_that_had_ended_before_is_asked_for_anew(visit: Visit, states: Site) -> None:
    page = visit(states, "/jobs/job-collected", user="gone")
    sign_in(page, "alice")
    expect(page.get_by_role("heading", name="train resnet")).to_be_visible()


def test_a_service_that_is_away_at_first_is_asked_again(visit: Visit, states: Site) -> None:
    page = visit(states)
    page.route("**/api/session", lambda route: route.abort())
    page.reload()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The service cannot be reached.")
    page.unroute("**/api/session")
    alert.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()

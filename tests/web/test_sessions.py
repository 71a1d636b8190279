"""Sessions that change or end while pages are open."""

from playwright.sync_api import Route, expect

from tests.web.conftest import OpenPage
from tests.web.site import Site
from tests.web.test_sign_in import sign_in


def test_a_link_with_a_token_does_not_change_the_user(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    expect(page.get_by_role("banner")).to_contain_text("alice")
    before = page.context.cookies()
    page.goto("about:blank")
    page.goto(f"{states.url}/#token=root")
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("alice")
    assert page.context.cookies() == before
    assert page.url == f"{states.url}/"


def test_a_page_follows_a_sign_in_on_another_page(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/jobs/job-collected")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    other = page.context.new_page()
    other.goto(states.url)
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("banner")).not_to_contain_text("alice")
    sign_in(other, "root")
    expect(page.get_by_role("banner")).to_contain_text("root")
    expect(page.get_by_role("heading", name="train resnet")).to_be_visible()


def test_a_changed_session_is_noticed_when_the_page_becomes_visible(open_page: OpenPage, states: Site) -> None:
    """A sign-in at an identity provider notifies no other page."""
    page = open_page(states, "/jobs/job-collected")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    page.context.request.post(
        f"{states.url}/api/session",
        data={"token": "root"},
        headers={"Origin": states.url, "Sec-Fetch-Site": "same-origin"},
    )
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("banner")).to_contain_text("root")


def test_an_action_that_ends_after_navigation_does_not_navigate(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/jobs/job-collected")
    waiting: list[Route] = []
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    page.route("**/api/graphql", lambda route: hold(route, waiting))
    dialog.get_by_role("button", name="Run again").click()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.evaluate("history.pushState(null, '', '/nowhere/at/all'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    with page.expect_response(lambda answer: "Rerun" in (answer.request.post_data or "")):
        for route in waiting:
            route.fulfill(json={"data": {"rerunPhJob": {"id": "job-partly"}}})
    page.wait_for_timeout(200)
    assert page.url == f"{states.url}/nowhere/at/all"


def hold(route: Route, waiting: list[Route]) -> None:
    """Delay the rerun mutation; let other requests pass."""
    if "Rerun" in (route.request.post_data or ""):
        waiting.append(route)
    else:
        route.continue_()


def test_a_service_that_does_not_respond_is_reported(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    expect(page.get_by_role("table")).to_be_visible()
    page.add_init_script("const late = AbortSignal.timeout; AbortSignal.timeout = () => late.call(AbortSignal, 500)")
    page.reload()
    expect(page.get_by_role("table")).to_be_visible()
    page.route("**/api/graphql", lambda route: None)
    page.get_by_label("Search").fill("more")
    expect(page.get_by_text("The service does not respond.")).to_be_visible()


def test_a_file_request_is_repeated_after_the_session_is_renewed(open_page: OpenPage, states: Site) -> None:
    """The token had expired, and the provider issued another one."""
    page = open_page(states)
    refusal = {"error": {"code": "UNAUTHENTICATED", "message": "the token has expired"}}
    refusals = [refusal]

    def refuse_once(route: Route) -> None:
        # With `times=1`, the browser stops to intercept requests then, and can lose those that it holds at that moment.
        if refusals:
            route.fulfill(status=401, json=refusals.pop())
        else:
            route.continue_()

    page.route("**/api/files/**/metrics.csv*", refuse_once)
    page.goto(f"{states.url}/jobs/job-collected/artifacts?file=metrics.csv")
    expect(page.get_by_role("dialog").get_by_role("table")).to_contain_text("1")

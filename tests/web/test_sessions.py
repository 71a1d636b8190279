"""A browser's session as all its pages have it: nobody gets another's unasked, and every page shows whose it is."""

from playwright.sync_api import Route, expect

from tests.web.conftest import Visit
from tests.web.site import Site
from tests.web.test_signin import sign_in


def test_a_link_signs_nobody_in_as_another(visit: Visit, states: Site) -> None:
    page = visit(states)
    expect(page.get_by_role("banner")).to_contain_text("alice")
    before = page.context.cookies()
    page.goto("about:blank")
    page.goto(f"{states.url}/#token=root")
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("alice")
    assert page.context.cookies() == before
    assert page.url == f"{states.url}/"


def test_a_page_shows_who_has_signed_in_on_another(visit: Visit, states: Site) -> None:
    page = visit(states, "/jobs/job-collected")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    other = page.context.new_page()
    other.goto(states.url)
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("banner")).not_to_contain_text("alice")
    sign_in(other, "root")
    expect(page.get_by_role("banner")).to_contain_text("root")
    expect(page.get_by_role("heading", name="train resnet")).to_be_visible()


def test_what_another_page_has_made_of_the_session_unseen_is_not_acted_on(visit: Visit, states: Site) -> None:
    """As after a sign-in at an issuer, which tells no other page."""
    page = visit(states, "/jobs/job-collected")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    page.context.request.post(
        f"{states.url}/api/session",
        data={"token": "root"},
        headers={"Origin": states.url, "Sec-Fetch-Site": "same-origin"},
    )
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("banner")).to_contain_text("root")


def test_a_dialog_that_is_left_while_its_deed_is_done_leads_nowhere(visit: Visit, states: Site) -> None:
    page = visit(states, "/jobs/job-collected")
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
    """Let the page wait for what it does; answer what it asks."""
    if "Rerun" in (route.request.post_data or ""):
        waiting.append(route)
    else:
        route.continue_()


def test_a_service_that_does_not_answer_is_told(visit: Visit, states: Site) -> None:
    page = visit(states)
    expect(page.get_by_role("table")).to_be_visible()
    page.add_init_script("const late = AbortSignal.timeout; AbortSignal.timeout = () => late.call(AbortSignal, 500)")
    page.reload()
    expect(page.get_by_role("table")).to_be_visible()
    page.route("**/api/graphql", lambda route: None)
    page.get_by_label("Search").fill("more")
    expect(page.get_by_text("The service does not respond.")).to_be_visible()


def test_a_file_is_asked_for_again_once_the_session_was_renewed(visit: Visit, states: Site) -> None:
    """As where the token has expired, and the issuer gives another."""
    page = visit(states)
    refusal = {"error": {"code": "UNAUTHENTICATED", "message": "the token has expired"}}
    page.route("**/api/files/**/metrics.csv*", lambda route: route.fulfill(status=401, json=refusal), times=1)
    page.goto(f"{states.url}/jobs/job-collected/artifacts?file=metrics.csv")
    expect(page.get_by_role("dialog").get_by_role("table")).to_contain_text("1")

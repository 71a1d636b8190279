"""The page works by keyboard alone, on a phone, in the dark scheme, and with a screen reader."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenPage
from tests.web.site import Site

# Views that differ in what they are made of.
PLACES = {
    "the list": "/",
    "nothing found": "/?search=none",
    "a running job": "/jobs/job-running-over",
    "a job that is over": "/jobs/job-incomplete",
    "its artifacts": "/jobs/job-incomplete/artifacts",
    "nothing kept": "/jobs/job-rejected/artifacts",
    "a hostile job": "/jobs/job-hostile/artifacts",
    "no job": "/jobs/none",
}
NO_POLICY = {"bypass_csp": True}  # axe sets inline styles to measure colours
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


PLACEHOLDER_COLOURS = """(field) => {
    const shown = getComputedStyle(field, "::placeholder");
    const muted = document.body.appendChild(document.createElement("p"));
    muted.className = "muted";
    return [shown.color, shown.opacity, getComputedStyle(muted).color];
}"""


def wait_until_loaded(page: Page) -> None:
    """Wait until the view has loaded."""
    expect(page.locator("#main > *")).not_to_have_count(0)
    expect(page.get_by_text("Loading")).to_have_count(0)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def axe_violations(page: Page, **options: object) -> list[str]:
    """Return the violations that axe finds, with their elements."""
    violations = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{page.url}: {each['impact']} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in violations
        for node in each["nodes"]
    ]


def test_axe_finds_nothing_in_any_view(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, **NO_POLICY)
    found = []
    for path in PLACES.values():
        page.goto(states.url + path)
        wait_until_loaded(page)
        found += axe_violations(page)
    page.context.clear_cookies()
    page.goto(f"{states.url}/jobs/job-collected")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found += axe_violations(page)
    assert found == []


def test_axe_finds_nothing_in_any_dialog(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/jobs/job-collected/artifacts", **NO_POLICY)
    found = []
    for button in ("Extend", "Pin", "Delete", "Run again"):
        page.get_by_role("button", name=button, exact=True).click()
        found += axe_violations(page)
        page.keyboard.press("Escape")
    assert found == []


def test_axe_finds_enough_contrast_in_the_dark(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, color_scheme="dark", **NO_POLICY)
    found = []
    for path in ("/", "/jobs/job-incomplete/artifacts", "/jobs/job-hostile"):
        page.goto(states.url + path)
        wait_until_loaded(page)
        found += axe_violations(page, runOnly=["color-contrast"])
    assert found == []


def test_axe_finds_a_planted_violation(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, **NO_POLICY)
    wait_until_loaded(page)
    page.evaluate("document.querySelector('#search').labels[0].remove()")
    page.evaluate("document.querySelector('#search').placeholder = ''")
    assert [text for text in axe_violations(page) if "critical label:" in text]


def test_no_view_is_wider_than_a_phone(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, **PHONE)
    for name, path in PLACES.items():
        page.goto(states.url + path)
        wait_until_loaded(page)
        width, view = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= view == 360, name
    page.goto(f"{states.url}/jobs/job-collected/artifacts")
    page.get_by_role("button", name="Extend").tap()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 360


def test_on_a_phone_each_cell_shows_its_column_name(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/?search=job-collected", **PHONE)
    cell = page.get_by_role("cell", name="3 files, 2.5 KiB")
    expect(cell).to_be_visible()
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Artifacts"'
    assert page.get_by_role("table").get_by_role("row").count() == 2


def test_the_dark_scheme_is_dark(open_page: OpenPage, states: Site) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page = open_page(states, color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        grounds[scheme] = sum(int(part) for part in ground[4:-1].split(",")) / 3
    assert grounds["dark"] < 50
    assert grounds["light"] > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_placeholder_has_the_colour_of_muted_text(open_page: OpenPage, site: Site, scheme: str) -> None:
    page = open_page(site, color_scheme=scheme)
    colour, opacity, muted = page.get_by_label("Search").evaluate(PLACEHOLDER_COLOURS)
    assert (colour, opacity) == (muted, "1")


def test_the_keyboard_reaches_the_retention_dialog_and_returns(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, "/?search=job-collected")
    keyboard = page.keyboard
    expect(page.get_by_role("link", name="train resnet")).to_be_visible()
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keyboard.press("Enter")
    for control in ("Search", "State", "Group"):
        keyboard.press("Tab")
        expect(page.get_by_label(control, exact=True)).to_be_focused()
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="train resnet")).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="train resnet")).to_be_focused()
    expect(page.get_by_role("tab", name="Details")).to_be_visible()
    keyboard.press("Tab")
    expect(page.get_by_role("button", name="Run again")).to_be_focused()
    keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Details")).to_be_focused()
    keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Artifacts")).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("tabpanel", name="Artifacts")).to_be_visible()
    expect(page.get_by_role("tab", name="Artifacts")).to_be_focused()
    keyboard.press("Tab")
    expect(page.get_by_role("button", name="Extend")).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Extend retention")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("button", name="Extend")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")


def test_the_focus_is_visible(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    page.get_by_label("Search").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("State")).to_be_focused()
    outline = page.evaluate(
        "(({ outlineStyle, outlineWidth }) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))"
    )
    assert outline == ["solid", "2px"]


def test_back_restores_the_scroll_position_of_the_list(open_page: OpenPage, states: Site) -> None:
    page = open_page(states, viewport={"width": 800, "height": 400})
    link = page.get_by_role("link", name="links")
    expect(link).to_be_visible()
    link.scroll_into_view_if_needed()
    place = page.evaluate("Math.round(scrollY)")
    assert place > 100
    link.click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    wait_until(page, f"Math.round(scrollY) === {place}")


def test_an_unknown_address_shows_page_not_found(open_page: OpenPage, states: Site) -> None:
    page = open_page(states)
    wait_until_loaded(page)
    page.evaluate("history.pushState(null, '', '/nowhere/at/all'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_role("heading", name="Page not found")).to_be_focused()
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def wait_until(page: Page, condition: str) -> None:
    """Wait until a condition is true. (Playwright's wait_for_function uses eval, which the page's policy forbids.)"""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never: {condition}")

"""Ten thousand files: page by page, without a freeze, and as they were left."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from api import listing
from tests.web.artifacts.conftest import NOWHERE, Open
from tests.web.artifacts.folders import MANY, address
from tests.web.conftest import Visit
from tests.web.site import Site

MOST_MS = 1000  # what may hold the page up at once; measured: 90, on a machine with nothing else to do
WATCH = """
  window.freezes = [];
  new PerformanceObserver((list) => freezes.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: "longtask", buffered: true });
"""


@pytest.fixture
def watched(open_tab: Open) -> Iterator[Page]:
    """A page that notes what holds it up."""
    page = open_tab(NOWHERE)
    page.add_init_script(WATCH)
    yield page
    freezes = page.evaluate("new Promise((done) => setTimeout(() => done(freezes), 50))")
    assert max(freezes, default=0) < MOST_MS


# To the end, and to the next one as soon as there is more.
SCROLL = """async (most) => {
  const shown = () => document.querySelectorAll(".files tbody tr").length;
  while (shown() < most) {
    const before = shown();
    scrollTo(0, document.body.scrollHeight);
    while (shown() === before) await new Promise(requestAnimationFrame);
  }
  for (let top = 0; top < document.body.scrollHeight; top += 40_000) {
    scrollTo(0, top);
    await new Promise(requestAnimationFrame);
  }
}"""


def test_ten_thousand_files_are_shown_as_one_scrolls(watched: Page, open_tab: Open) -> None:
    open_tab(address("job-many"), watched)
    rows = watched.locator(".files tbody tr")
    expect(rows).to_have_count(200)
    expect(watched.get_by_text("200 of 9,901 entries")).to_be_visible()
    watched.evaluate(SCROLL, 9_901)
    expect(rows).to_have_count(9_901)
    expect(watched.get_by_text("9,901 entries", exact=True)).to_be_visible()
    expect(watched.get_by_role("button", name="Show more")).to_be_hidden()
    assert rows.nth(5_001).get_attribute("data-name") == "shard-05000.bin"


def test_they_are_sorted_and_searched_by_the_api(watched: Page, open_tab: Open) -> None:
    open_tab(address("job-many", sort="-size"), watched)
    expect(watched.locator(".files tbody tr").first).to_contain_text("shard-09323.bin")
    watched.get_by_role("searchbox").fill("part-")
    expect(watched.locator(".files tbody tr")).to_have_count(100)
    expect(watched.get_by_text("100 files found")).to_be_visible()
    assert len([name for name in MANY if "part-" in name]) == 100


def test_too_many_to_be_sorted_are_shown_by_name(visit: Visit, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 250)
    site.world.leave(site.world.add("job-1"), {f"f{number:03d}": b"x" for number in range(300)})
    page = visit(site, address("job-1", sort="-size"))
    notice = page.get_by_role("alert").filter(has_text="The files cannot be listed.")
    expect(notice).to_contain_text("There are more than")
    notice.get_by_role("button", name="Show all by name").click()
    expect(page.get_by_text("First 200 entries")).to_be_visible()
    expect(notice).to_have_count(0)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")  # a click on "Show more" would race with what that brings
    expect(page.get_by_text("300 entries", exact=True)).to_be_visible()


def test_more_are_shown_by_a_button_and_the_first_of_them_has_the_focus(open_tab: Open) -> None:
    page = open_tab(address("job-many"))
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator(":focus")).to_contain_text("shard-00200.bin")


def test_the_list_stays_where_it_is_under_a_preview(open_tab: Open) -> None:
    page = open_tab(address("job-many"))
    link = page.get_by_role("link", name="Preview shard-00150.bin")
    link.scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    assert top > 5_000
    link.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("scrollY") == top
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == top


def test_back_from_elsewhere_finds_the_place(open_tab: Open) -> None:
    page = open_tab(address("job-many"))
    link = page.get_by_role("link", name="Preview shard-00150.bin")
    link.scroll_into_view_if_needed()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").evaluate("(link) => link.click()")
    expect(page.locator(".files")).to_have_count(0)
    page.go_back()
    expect(link).to_be_in_viewport()


def test_back_finds_the_folder_as_it_was_left(open_tab: Open) -> None:
    page = open_tab(address("job-many"))
    page.get_by_role("button", name="Show more").press("Enter")
    folder = page.get_by_role("link", name="shard-00300-parts/", exact=True)
    folder.scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    assert top > 5_000
    folder.click()
    expect(page.locator(".files tbody tr")).to_have_count(100)
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(folder).to_be_in_viewport()
    assert abs(page.evaluate("scrollY") - top) < 50

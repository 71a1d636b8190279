"""Folders with ten thousand files: loading while scrolling, without freezes, and scroll positions."""

import pytest
from playwright.sync_api import expect

from api import listing
from tests.web.artifacts.conftest import OpenArtifacts
from tests.web.artifacts.folders import MANY, address
from tests.web.conftest import OpenPage
from tests.web.processor_time import ProcessorTime
from tests.web.site import Site

MAX_TASK_SECONDS = 1.0  # of processor time


# Scroll to the end, again after each new page; then through all rows.
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


def test_ten_thousand_files_are_loaded_while_scrolling(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many"))
    rows = page.locator(".files tbody tr")
    expect(rows).to_have_count(200)
    expect(page.get_by_text("200 of 9,901 entries")).to_be_visible()
    assert ProcessorTime(page).longest_task(SCROLL, 9_901) < MAX_TASK_SECONDS
    expect(rows).to_have_count(9_901)
    expect(page.get_by_text("9,901 entries", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert rows.nth(5_001).get_attribute("data-name") == "shard-05000.bin"


def test_the_api_sorts_and_searches_large_folders(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many", sort="-size"))
    expect(page.locator(".files tbody tr").first).to_contain_text("shard-09323.bin")
    processor = ProcessorTime(page)
    before = processor.seconds()
    page.get_by_role("searchbox").fill("part-")
    expect(page.locator(".files tbody tr")).to_have_count(100)
    expect(page.get_by_text("100 files found")).to_be_visible()
    assert processor.seconds() - before < MAX_TASK_SECONDS
    assert len([name for name in MANY if "part-" in name]) == 100


def test_a_folder_too_large_to_sort_is_shown_by_name(
    open_page: OpenPage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 250)
    site.data.add_artifacts(site.data.add_job("job-1"), {f"f{number:03d}": b"x" for number in range(300)})
    page = open_page(site, address("job-1", sort="-size"))
    notice = page.get_by_role("alert").filter(has_text="The files cannot be listed.")
    expect(notice).to_contain_text("There are too many files to sort or search them.")
    notice.get_by_role("button", name="Show all by name").click()
    expect(page.get_by_text("First 200 entries")).to_be_visible()
    expect(notice).to_have_count(0)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")  # clicking "Show more" would race with it
    expect(page.get_by_text("300 entries", exact=True)).to_be_visible()


def test_the_show_more_button_focuses_the_first_new_file(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many"))
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator(":focus")).to_contain_text("shard-00200.bin")


def test_the_list_does_not_scroll_below_a_preview(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many"))
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


def test_back_from_another_view_restores_the_scroll_position(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many"))
    link = page.get_by_role("link", name="Preview shard-00150.bin")
    link.scroll_into_view_if_needed()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").evaluate("(link) => link.click()")
    expect(page.locator(".files")).to_have_count(0)
    page.go_back()
    expect(link).to_be_in_viewport()


def test_back_to_a_folder_restores_its_files_and_scroll_position(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many"))
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

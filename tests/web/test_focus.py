"""The focus moves to a sensible element if the focused one disappears."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenPage
from tests.web.site import Site

JOB = "/jobs/job-a/artifacts"


@pytest.fixture
def filled(site: Site) -> Site:
    """A service with three pages of jobs; the newest job has nested folders."""
    for number in range(22):
        site.data.add_job(f"job-{number:02d}", ago=900 + 60 * number)
    site.data.add_artifacts(site.data.add_job("job-a"), {"plots/deep/x.txt": b"x", "plots/y.txt": b"y"})
    return site


def enter(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).press("Enter")


def test_changing_pages_keeps_the_focus_on_the_link_or_moves_it_to_the_heading(
    open_page: OpenPage, filled: Site
) -> None:
    page = open_page(filled)
    enter(page, "Older")
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()
    expect(page.get_by_role("link", name="Older")).to_be_focused()
    enter(page, "Older")
    expect(page.get_by_text("Page 3 of 3")).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_leaving_an_empty_list_focuses_the_heading(open_page: OpenPage, filled: Site) -> None:
    page = open_page(filled, "/?search=none")
    enter(page, "Show all jobs")
    expect(page.get_by_role("link", name="job-a")).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_opening_a_folder_focuses_its_name(open_page: OpenPage, filled: Site) -> None:
    page = open_page(filled, JOB)
    here = page.get_by_role("navigation", name="Folders").locator("[aria-current]")
    for folder, row in {"plots/": "deep/", "deep/": "x.txt"}.items():
        enter(page, folder)
        expect(page.locator(".files tbody th").first).to_contain_text(row)
        expect(here).to_have_text(folder.rstrip("/"))
        expect(here).to_be_focused()
    for crumb, row in {"plots": "deep/", "All files": "plots/"}.items():
        enter(page, crumb)
        expect(page.locator(".files tbody th").first).to_contain_text(row)
        expect(here).to_have_text(crumb)
        expect(here).to_be_focused()


def test_a_successful_retry_focuses_the_folder_name(open_page: OpenPage, filled: Site) -> None:
    page = open_page(filled, JOB)
    expect(page.locator(".files tbody tr")).to_have_count(1)
    page.route("**/api/graphql", lambda route: route.abort())
    enter(page, "plots/")
    again = page.get_by_role("button", name="Retry")
    expect(again).to_be_visible()
    page.unroute("**/api/graphql")
    again.press("Enter")
    expect(page.locator(".files tbody tr")).to_have_count(2)
    expect(page.get_by_role("navigation", name="Folders").locator("[aria-current]")).to_be_focused()

"""Where the keyboard's focus goes when what had it is no longer shown: never to nothing."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Visit
from tests.web.site import Site

JOB = "/jobs/job-a/artifacts"


@pytest.fixture
def filled(site: Site) -> Site:
    """A service with three pages of jobs, the newest of which left two folders, one in the other."""
    for number in range(22):
        site.world.add(f"job-{number:02d}", ago=900 + 60 * number)
    site.world.leave(site.world.add("job-a"), {"plots/deep/x.txt": b"x", "plots/y.txt": b"y"})
    return site


def enter(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).press("Enter")


def test_from_page_to_page_the_focus_stays_at_the_link_or_goes_to_the_heading(visit: Visit, filled: Site) -> None:
    page = visit(filled)
    enter(page, "Older")
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()
    expect(page.get_by_role("link", name="Older")).to_be_focused()
    enter(page, "Older")
    expect(page.get_by_text("Page 3 of 3")).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_the_way_out_of_an_empty_list_leads_the_focus_to_the_heading(visit: Visit, filled: Site) -> None:
    page = visit(filled, "/?search=none")
    enter(page, "Show all jobs")
    expect(page.get_by_role("link", name="job-a")).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_from_folder_to_folder_the_focus_goes_to_the_folders_name(visit: Visit, filled: Site) -> None:
    page = visit(filled, JOB)
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


def test_files_that_are_listed_after_all_leave_the_focus_at_their_folder(visit: Visit, filled: Site) -> None:
    page = visit(filled, JOB)
    expect(page.locator(".files tbody tr")).to_have_count(1)
    page.route("**/api/graphql", lambda route: route.abort())
    enter(page, "plots/")
    again = page.get_by_role("button", name="Retry")
    expect(again).to_be_visible()
    page.unroute("**/api/graphql")
    again.press("Enter")
    expect(page.locator(".files tbody tr")).to_have_count(2)
    expect(page.get_by_role("navigation", name="Folders").locator("[aria-current]")).to_be_focused()

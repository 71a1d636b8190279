"""Typed text that is not submitted yet: pending searches, and the command of a closed dialog."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.artifacts.folders import address
from tests.web.conftest import OpenPage
from tests.web.site import SharedServer, Site, make_site
from tests.web.test_job_list import shows

TYPING_PAUSE_MS = 1000  # longer than the page's typing pause


def test_choosing_a_filter_while_typing_includes_the_search(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", name="mixed", ago=60)
    site.data.add_job("job-b", name="plain", ago=90)
    page = open_page(site)
    shows(page, "mixed", "plain")
    page.evaluate(
        """() => {
             const [search, state] = ["search", "state"].map((id) => document.getElementById(id));
             search.value = "mixed";
             search.dispatchEvent(new Event("input"));
             state.value = "Succeeded";
             state.dispatchEvent(new Event("change"));
           }"""
    )
    shows(page, "mixed")
    page.wait_for_timeout(TYPING_PAUSE_MS)
    assert page.url == f"{site.url}/?state=Succeeded&search=mixed"
    expect(page.get_by_label("Search")).to_have_value("mixed")
    page.go_back()
    shows(page, "mixed", "plain")
    expect(page.get_by_label("Search")).to_have_value("")


def type_and_leave(page: Page, field: str, text: str, by: str) -> None:
    """Type and click in one task of the page, before the pending search starts."""
    page.evaluate(
        """([field, text, by]) => {
             const found = document.querySelector(field);
             found.value = text;
             found.dispatchEvent(new Event("input"));
             document.querySelector(by).click();
           }""",
        [field, text, by],
    )


def test_a_pending_search_does_not_return_to_the_list(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", name="mixed", ago=60)
    page = open_page(site)
    shows(page, "mixed")
    type_and_leave(page, "#search", "mixed", "table.jobs tbody a")
    expect(page.get_by_role("heading", name="mixed")).to_be_visible()
    page.wait_for_timeout(TYPING_PAUSE_MS)
    assert page.url == f"{site.url}/jobs/job-a"


def test_a_pending_search_does_not_return_to_the_files(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-a"))
    page = open_page(site, address("job-a"))
    expect(page.locator(".files tbody tr")).to_have_count(3)
    type_and_leave(page, "#artifact-search", "loss", "#tab-details")
    page.wait_for_timeout(TYPING_PAUSE_MS)
    assert page.url == f"{site.url}/jobs/job-a"


def test_a_typed_command_survives_dialog_and_session(open_page: OpenPage, tmp_path: Path, server: SharedServer) -> None:
    site = make_site(tmp_path / "local", server, is_local=True)
    site.data.add_job("job-a")
    page = open_page(site)
    form = page.get_by_role("dialog")
    run = page.get_by_role("button", name="Run a command")
    command, name = form.get_by_role("textbox", name="Command"), form.get_by_role("textbox", name="Name")
    run.click()
    command.fill("echo kept")
    name.fill("mine")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    run.click()
    expect(command).to_have_value("echo kept")
    expect(name).to_have_value("mine")
    alice = site.users.accepted.pop("alice")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    site.users.accepted["alice"] = alice
    page.get_by_role("textbox", name="Token").fill("alice")
    page.get_by_role("button", name="Sign in").click()
    run.click()
    expect(command).to_have_value("echo kept")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name="mine")).to_be_visible()
    page.go_back()
    run.click()
    expect(command).to_have_value("")
    expect(name).to_have_value("")

"""What was typed is not lost, and takes nobody back: searches, and the command of a form that was closed."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.artifacts.folders import address
from tests.web.conftest import Visit
from tests.web.site import Site, Stage, make_site
from tests.web.test_list import shows

SOON = 1000  # longer than the page waits for more to be typed


def test_a_choice_made_while_a_search_is_typed_goes_with_the_search(visit: Visit, site: Site) -> None:
    site.world.add("job-a", name="mixed", ago=60)
    site.world.add("job-b", name="plain", ago=90)
    page = visit(site)
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
    page.wait_for_timeout(SOON)
    assert page.url == f"{site.url}/?state=Succeeded&search=mixed"
    expect(page.get_by_label("Search")).to_have_value("mixed")
    page.go_back()
    shows(page, "mixed", "plain")
    expect(page.get_by_label("Search")).to_have_value("")


def type_and_leave(page: Page, field: str, text: str, by: str) -> None:
    """In one turn of the page's script: before what was typed is searched for."""
    page.evaluate(
        """([field, text, by]) => {
             const found = document.querySelector(field);
             found.value = text;
             found.dispatchEvent(new Event("input"));
             document.querySelector(by).click();
           }""",
        [field, text, by],
    )


def test_who_has_left_the_list_while_a_search_was_typed_is_not_led_back(visit: Visit, site: Site) -> None:
    site.world.add("job-a", name="mixed", ago=60)
    page = visit(site)
    shows(page, "mixed")
    type_and_leave(page, "#search", "mixed", "table.jobs tbody a")
    expect(page.get_by_role("heading", name="mixed")).to_be_visible()
    page.wait_for_timeout(SOON)
    assert page.url == f"{site.url}/jobs/job-a"


def test_who_has_left_the_files_while_a_search_was_typed_stays_there(visit: Visit, site: Site) -> None:
    site.world.leave(site.world.add("job-a"))
    page = visit(site, address("job-a"))
    expect(page.locator(".files tbody tr")).to_have_count(3)
    type_and_leave(page, "#artifact-search", "loss", "#tab-details")
    page.wait_for_timeout(SOON)
    assert page.url == f"{site.url}/jobs/job-a"


def test_a_command_outlasts_form_and_session_until_it_is_run(visit: Visit, tmp_path: Path, stage: Stage) -> None:
    site = make_site(tmp_path / "local", stage, is_local=True)
    site.world.add("job-a")
    page = visit(site)
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
    alice = site.people.known.pop("alice")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    site.people.known["alice"] = alice
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

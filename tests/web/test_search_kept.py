"""What was typed is not lost: a search by a choice made beside it, a command by a form that was closed."""

from playwright.sync_api import expect

from tests.web.conftest import Visit
from tests.web.site import Site
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


def test_who_has_left_the_list_while_a_search_was_typed_is_not_led_back(visit: Visit, site: Site) -> None:
    site.world.add("job-a", name="mixed", ago=60)
    page = visit(site)
    shows(page, "mixed")
    page.evaluate(
        """() => {
             const search = document.getElementById("search");
             search.value = "mixed";
             search.dispatchEvent(new Event("input"));
             document.querySelector("table.jobs tbody a").click();
           }"""
    )
    expect(page.get_by_role("heading", name="mixed")).to_be_visible()
    page.wait_for_timeout(SOON)
    assert page.url == f"{site.url}/jobs/job-a"

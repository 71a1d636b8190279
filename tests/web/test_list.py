"""The list of jobs: what it tells of each, pages and filters in the address, and how it keeps true by itself."""

import re

import pytest
from playwright.sync_api import Page, expect

from local.documents import write_document
from tests.web.conftest import Visit
from tests.web.site import Site
from tests.web.world import World

DASH = "\u2013"
FAR = "00:30"  # more than the longest wait between two questions while jobs run


def rows(page: Page) -> list[list[str]]:
    """The rows' texts, cell by cell, once there are any."""
    found = page.locator("table.jobs tbody tr")
    expect(found.first).to_be_visible()
    return [row.locator("th, td").all_inner_texts() for row in found.all()]


def names(page: Page) -> list[str]:
    return [cells[0].splitlines()[0] for cells in rows(page)]


def shows(page: Page, *expected: str) -> None:
    """Wait until the list shows these jobs, in this order."""
    expect(page.locator("table.jobs tbody .job-name")).to_have_text(list(expected))


def add(world: World, count: int) -> list[str]:
    """So many jobs, the newest first."""
    found = [f"job-{number:02d}" for number in range(count)]
    for number, job in enumerate(found):
        world.add(job, ago=600 + 60 * number)
    return found


def test_a_row_tells_state_group_start_duration_and_artifacts(visit: Visit, site: Site) -> None:
    world = site.world  # half a minute is left before a minute, or an hour, is full
    world.add("job-a", "Pending", ago=10, name="waits")
    world.leave(world.add("job-b", "Running", ago=3 * 3600 - 40, name="runs"), state="syncing")
    world.leave(world.add("job-c", ago=4 * 3600 - 40, name="ended"))
    world.leave(world.add("job-d", ago=5 * 3600 - 40, name="too much"), {}, "rejected")
    world.leave(world.add("job-e", "Failed", ago=6 * 3600 - 40, group="speech", name="short"), state="incomplete")
    world.leave(world.add("job-f", ago=7 * 3600 - 40, name="nothing"), {}, "empty")
    world.leave(world.add("job-g", "Cancelled", ago=8 * 86400 - 40, name="old"), expires_in=-60)
    world.add("job-h", ago=9 * 86400, name="foreign", group="secret")
    page = visit(site)
    expect(page).to_have_title("Jobs · Job artifacts")
    assert rows(page) == [
        ["waits\njob-a", "Pending", "Vision", "not yet", DASH, DASH],
        ["runs\njob-b", "Running", "Vision", "2 hours ago", "2 h 59 min", "being collected"],
        ["ended\njob-c", "Succeeded", "Vision", "3 hours ago", "3 min 50 s", "3 files, 2.5 KiB"],
        ["too much\njob-d", "Succeeded", "Vision", "4 hours ago", "3 min 50 s", "over the limit"],
        ["short\njob-e", "Failed", "speech", "5 hours ago", "3 min 50 s", "3 files, 2.5 KiB\nincomplete"],
        ["nothing\njob-f", "Succeeded", "Vision", "6 hours ago", "3 min 50 s", "none"],
        ["old\njob-g", "Cancelled", "Vision", "7 days ago", "3 min 50 s", "expired"],
    ]


def test_pages_are_in_the_address_and_back_leads_back(visit: Visit, site: Site) -> None:
    jobs = add(site.world, 23)
    page = visit(site)
    shows(page, *jobs[:10])
    assert page.get_by_role("link", name="Newer").count() == 0
    page.get_by_role("link", name="Older").click()
    shows(page, *jobs[10:20])
    page.get_by_role("link", name="Older").click()
    shows(page, *jobs[20:])
    assert page.url == f"{site.url}/?page=3"
    expect(page.get_by_text("Page 3 of 3")).to_be_visible()
    page.go_back()
    shows(page, *jobs[10:20])
    page.get_by_label("Search").fill("job-2")
    shows(page, *jobs[20:])
    assert page.url == f"{site.url}/?search=job-2"


def test_filters_narrow_the_list_and_are_in_the_address(visit: Visit, site: Site) -> None:
    for number, (phase, group) in enumerate([("Failed", "Vision"), ("Succeeded", "Vision"), ("Failed", "speech")]):
        site.world.add(f"job-{number}", phase, group=group, name=f"train {number}", ago=600 + number)
    page = visit(site)
    shows(page, "train 0", "train 1", "train 2")
    page.get_by_label("State").select_option("Failed")
    shows(page, "train 0", "train 2")
    page.get_by_label("Group").select_option("speech")
    shows(page, "train 2")
    assert page.url == f"{site.url}/?state=Failed&group=speech"
    page.get_by_label("Search").fill("none such")
    expect(page.get_by_role("heading", name="No matching jobs")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Search")).to_have_value("none such")
    expect(page.get_by_label("State")).to_have_value("Failed")
    page.get_by_role("link", name="Show all jobs").click()
    shows(page, "train 0", "train 1", "train 2")
    expect(page.get_by_label("Search")).to_have_value("")


def test_typing_a_search_keeps_the_focus_and_is_one_step_back(visit: Visit, site: Site) -> None:
    site.world.add("job-a", name="resnet", ago=60)
    site.world.add("job-b", name="bert", ago=90)
    page = visit(site)
    page.get_by_label("State").select_option("Succeeded")
    page.get_by_label("Search").press_sequentially("ber", delay=120)
    shows(page, "bert")
    expect(page.get_by_label("Search")).to_be_focused()
    page.go_back()
    shows(page, "resnet", "bert")
    assert page.url == f"{site.url}/"
    expect(page.get_by_label("Search")).to_have_value("")


def test_the_list_goes_on_by_itself_and_keeps_what_has_the_focus(visit: Visit, site: Site) -> None:
    site.world.add("job-old", ago=600)
    running = site.world.add("job-running", "Running", ago=300)
    page = visit(site, clock=True)
    link = page.get_by_role("link", name="job-running")
    link.focus()
    link.evaluate("link => (link.isSameAsBefore = true)")
    site.world.add("job-new", "Pending", ago=1)
    running["status"] |= {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": "2026-01-01T00:00:00Z"}
    write_document(site.world.places(running).phjob, running)
    page.clock.fast_forward(FAR)
    shows(page, "job-new", "job-running", "job-old")
    assert rows(page)[1][1] == "Succeeded"
    expect(link).to_be_focused()
    assert link.evaluate("link => link.isSameAsBefore") is True


def test_a_service_that_cannot_be_reached_is_told_and_asked_again(visit: Visit, site: Site) -> None:
    site.world.add("job-a", "Running", ago=60)
    page = visit(site, clock=True)
    shows(page, "job-a")
    page.context.set_offline(True)
    page.clock.fast_forward(FAR)
    banner = page.get_by_text("The service cannot be reached. The data shown may be out of date. Retrying…")
    expect(banner).to_be_visible()
    shows(page, "job-a")
    site.world.add("job-b", ago=30)
    page.context.set_offline(False)
    page.clock.fast_forward(FAR)
    shows(page, "job-b", "job-a")
    expect(banner).to_have_count(0)


def test_while_it_is_hidden_nothing_is_asked(visit: Visit, site: Site) -> None:
    site.world.add("job-a", "Running", ago=60)
    page = visit(site, clock=True)
    shows(page, "job-a")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    see(page, hidden=True)
    for _ in range(5):
        page.clock.fast_forward(FAR)
    assert asked == []
    with page.expect_request(re.compile("/api/graphql")):
        see(page, hidden=False)


def see(page: Page, hidden: bool) -> None:
    """Have the page believe that its tab was hidden, or is seen again."""
    page.evaluate(
        """(hidden) => {
             Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
             document.dispatchEvent(new Event("visibilitychange"));
           }""",
        hidden,
    )


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "No jobs yet"),
        ("/?state=Failed", "No matching jobs"),
        ("/?page=7", "Page not found"),
        ("/?page=-1&state=", "No jobs yet"),
    ],
)
def test_an_empty_list_says_what_to_do(visit: Visit, site: Site, path: str, title: str) -> None:
    page = visit(site, path)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator("table")).to_have_count(0)


def test_jobs_that_cannot_be_asked_for_are_told_with_a_way_to_go_on(visit: Visit, site: Site) -> None:
    site.world.add("job-a")
    folder = site.world.data / "phjobs"
    folder.rename(folder.with_name("away"))
    page = visit(site)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The jobs cannot be shown.")
    expect(alert).to_contain_text("phjobs cannot be read")
    folder.with_name("away").rename(folder)
    alert.get_by_role("button", name="Retry").click()
    shows(page, "job-a")

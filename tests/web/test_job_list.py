"""The list of jobs: its rows, its pages and filters, and its updates."""

import re

import pytest
from playwright.sync_api import Page, expect

from local.documents import write_document
from tests.web.conftest import OpenPage
from tests.web.job_data import JobData
from tests.web.site import Site

DASH = "\u2013"
SKIP = "00:30"  # longer than the polling interval while jobs run


def rows(page: Page) -> list[list[str]]:
    """Wait for rows and return the texts of their cells."""
    found = page.locator("table.jobs tbody tr")
    expect(found.first).to_be_visible()
    return [row.locator("th, td").all_inner_texts() for row in found.all()]


def names(page: Page) -> list[str]:
    return [cells[0].splitlines()[0] for cells in rows(page)]


def shows(page: Page, *expected: str) -> None:
    """Wait until the list shows these jobs, in this order."""
    expect(page.locator("table.jobs tbody .job-name")).to_have_text(list(expected))


def add(data: JobData, count: int) -> list[str]:
    """Add jobs and return their ids, the newest first."""
    found = [f"job-{number:02d}" for number in range(count)]
    for number, job in enumerate(found):
        data.add_job(job, ago=600 + 60 * number)
    return found


def test_a_row_shows_state_group_start_duration_and_artifacts(open_page: OpenPage, site: Site) -> None:
    data = site.data  # half a minute is left before a minute, or an hour, is full
    data.add_job("job-a", "Pending", ago=10, name="waits")
    data.add_artifacts(data.add_job("job-b", "Running", ago=3 * 3600 - 40, name="runs"), state="syncing")
    data.add_artifacts(data.add_job("job-c", ago=4 * 3600 - 40, name="ended"))
    data.add_artifacts(data.add_job("job-d", ago=5 * 3600 - 40, name="too much"), {}, "rejected")
    data.add_artifacts(
        data.add_job("job-e", "Failed", ago=6 * 3600 - 40, group="speech", name="short"), state="incomplete"
    )
    data.add_artifacts(data.add_job("job-f", ago=7 * 3600 - 40, name="nothing"), {}, "empty")
    data.add_artifacts(data.add_job("job-g", "Cancelled", ago=8 * 86400 - 40, name="old"), expires_in=-60)
    data.add_job("job-h", ago=9 * 86400, name="foreign", group="secret")
    page = open_page(site)
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


def test_the_page_number_is_in_the_address(open_page: OpenPage, site: Site) -> None:
    jobs = add(site.data, 23)
    page = open_page(site)
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


def test_filters_are_applied_and_in_the_address(open_page: OpenPage, site: Site) -> None:
    for number, (phase, group) in enumerate([("Failed", "Vision"), ("Succeeded", "Vision"), ("Failed", "speech")]):
        site.data.add_job(f"job-{number}", phase, group=group, name=f"train {number}", ago=600 + number)
    page = open_page(site)
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


def test_typing_a_search_keeps_the_focus_and_adds_one_history_entry(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", name="resnet", ago=60)
    site.data.add_job("job-b", name="bert", ago=90)
    page = open_page(site)
    page.get_by_label("State").select_option("Succeeded")
    page.get_by_label("Search").press_sequentially("ber", delay=120)
    shows(page, "bert")
    expect(page.get_by_label("Search")).to_be_focused()
    page.go_back()
    shows(page, "resnet", "bert")
    assert page.url == f"{site.url}/"
    expect(page.get_by_label("Search")).to_have_value("")


def test_the_list_updates_in_place_and_keeps_the_focus(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-old", ago=600)
    running = site.data.add_job("job-running", "Running", ago=300)
    page = open_page(site, clock=True)
    link = page.get_by_role("link", name="job-running")
    link.focus()
    link.evaluate("link => (link.isSameAsBefore = true)")
    site.data.add_job("job-new", "Pending", ago=1)
    running["status"] |= {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": "2026-01-01T00:00:00Z"}
    write_document(site.data.paths(running).phjob, running)
    page.clock.fast_forward(SKIP)
    shows(page, "job-new", "job-running", "job-old")
    assert rows(page)[1][1] == "Succeeded"
    expect(link).to_be_focused()
    assert link.evaluate("link => link.isSameAsBefore") is True


def test_an_unreachable_service_is_reported_and_retried(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", "Running", ago=60)
    page = open_page(site, clock=True)
    shows(page, "job-a")
    page.context.set_offline(True)
    page.clock.fast_forward(SKIP)
    banner = page.get_by_text("The service cannot be reached. The data shown may be out of date. Retrying…")
    expect(banner).to_be_visible()
    shows(page, "job-a")
    site.data.add_job("job-b", ago=30)
    page.context.set_offline(False)
    page.clock.fast_forward(SKIP)
    shows(page, "job-b", "job-a")
    expect(banner).to_have_count(0)


def test_a_hidden_page_sends_no_requests(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a", "Running", ago=60)
    page = open_page(site, clock=True)
    shows(page, "job-a")
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))
    set_hidden(page, hidden=True)
    for _ in range(5):
        page.clock.fast_forward(SKIP)
    assert requested_urls == []
    with page.expect_request(re.compile("/api/graphql")):
        set_hidden(page, hidden=False)


def set_hidden(page: Page, hidden: bool) -> None:
    """Simulate that the page's tab is hidden or visible."""
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
def test_an_empty_list_shows_what_to_do(open_page: OpenPage, site: Site, path: str, title: str) -> None:
    page = open_page(site, path)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator("table")).to_have_count(0)


def test_a_failed_list_shows_the_error_and_a_retry(open_page: OpenPage, site: Site) -> None:
    site.data.add_job("job-a")
    folder = site.data.root / "phjobs"
    folder.rename(folder.with_name("away"))
    page = open_page(site)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The jobs cannot be shown.")
    expect(alert).to_contain_text("phjobs cannot be read")
    folder.with_name("away").rename(folder)
    alert.get_by_role("button", name="Retry").click()
    shows(page, "job-a")

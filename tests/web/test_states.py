"""Every state of a job and its artifacts has a summary with numbers and advice; no table is empty."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenPage
from tests.web.site import Site
from tests.web.states import STATES

# For each state, texts of the summary above the files, or above the details while the job runs.
SUMMARIES = {
    "waiting": ["The job has not started yet."],
    "running": ["The job is running.", "Collected so far: 3 files (2.5 KiB)."],
    "running-over": [
        "The job has exceeded the artifact limit.",
        "The job has written 1,204 files (230 MiB): 204 files and 130 MiB over the limit of 1,000 files and 100 MiB.",
        "If the job ends like this, no files are collected.",
        "Pack many small files into one archive",
    ],
    "collecting": ["the last files are being collected", "Collected so far: 3 files (2.5 KiB)."],
    "collected": ["All 3 files were collected (2.5 KiB)."],
    "rejected": [
        "No files were collected: the job exceeded the artifact limit.",
        "The job wrote 1,204 files (230 MiB): 204 files and 130 MiB over the limit of 1,000 files and 100 MiB.",
        "An administrator can raise the limit",
        "1,204 files skipped: over the limit on number or size (230 MiB).",
    ],
    "partly": ["Only 3 files (2.5 KiB) of 204 files (103 MiB) were collected.", "201 files skipped"],
    "incomplete": [
        "Some files are missing: 3 of 6 files were collected.",
        "2 files skipped: links to a path outside the job's volumes.",
        "Link target: /etc/hostname",
        "out/best.bin",
        "1 file skipped: not readable by the collector (4 KiB).",
        "Last error: Permission denied",
        "1 file skipped: pipes, sockets or devices",
        "train.log",
    ],
    "interrupted": [
        "The collection was interrupted.",
        "Changes made after ",
        "3 files (2.5 KiB) had been collected by then.",
    ],
    "out-of-memory": ["All 3 files were collected"],
    "overdue": ["All 3 files were collected"],
    "cancelled": ["All 3 files were collected"],
    "withdrawn": ["The job never started, so it has no artifacts."],
    "empty": ["The job wrote no files to its artifacts folder.", "/home/jovyan/artifacts"],
    "expired": ["The artifacts are no longer available.", "There were 3 files (2.5 KiB).", "cannot be restored"],
    "removed": [
        "3 files (2.5 KiB) were collected and are no longer in the store.",
        "Somebody removed them before they expired.",
    ],
    "unknown": [
        "It is unknown whether all files were collected.",
        "Reason: the pod was deleted before the controller read the sidecar's summary.",
    ],
    "unconfirmed": [
        "All 3 files were collected (2.5 KiB).",
        "The outcome is not confirmed: the job was cancelled; the report in the store says: sealed, 3 of 3 files.",
    ],
    "read-only-store": [
        "The collection was interrupted.",
        "Reason: the report could not be written: Read-only file system.",
        "3 files (2.5 KiB) had been collected by then.",
    ],
    "not-injected": [
        "No files were collected: the job ran without the collector.",
        "Reason: the webhook was not called.",
    ],
    "hostile": ["Some files are missing: 3 of 4 files were collected."],
}
RUNNING_STATES = ("waiting", "running", "running-over")
STATES_WITHOUT_FILES = ("rejected", "withdrawn", "empty", "expired", "removed", "unknown", "not-injected")

DETAILS = {
    "waiting": ["The job is waiting for its pod to start.", "0/3 nodes have a free GPU"],
    "running": ["The command is running.", "python train.py --epochs 10", "jupyter/base-notebook", "alice"],
    "collected": ["The command succeeded.", "Exit code\n0", "Duration\n3 min 50 s"],
    "incomplete": ["The command failed.", "Exit code\n7"],
    "interrupted": ["Evicted: disk pressure"],
    "out-of-memory": ["The job exceeded its memory limit and was killed.", "Exit code\n137"],
    "overdue": ["The job exceeded its time limit of 1 h and was stopped.", "Time limit\n1 h"],
    "cancelled": ["The job was cancelled."],
    "withdrawn": ["The job was cancelled.", "Cancelled before the pod was created"],
}


@pytest.fixture
def page(open_page: OpenPage, states: Site) -> Page:
    return open_page(states, "/")


def test_every_state_has_expectations() -> None:
    assert {f"job-{state}" for state in SUMMARIES} == STATES.keys()


@pytest.mark.parametrize("names", [list(SUMMARIES)[::2], list(SUMMARIES)[1::2]], ids=["even", "odd"])
def test_each_state_has_a_summary_and_lists_its_files(page: Page, states: Site, names: list[str]) -> None:
    for state in names:
        page.goto(f"{states.url}/jobs/job-{state}/artifacts")
        notice = page.locator(".summary-panel:visible")
        for text in SUMMARIES[state]:
            expect(notice, state).to_contain_text(text)
        tables = 0 if state in RUNNING_STATES or state in STATES_WITHOUT_FILES else 1
        expect(page.get_by_role("table"), state).to_have_count(tables)
        expect(page.locator(".retention .expiry"), state).to_have_count(tables)


def test_details_show_how_the_job_ended(page: Page, states: Site) -> None:
    for state, texts in DETAILS.items():
        page.goto(f"{states.url}/jobs/job-{state}")
        expect(page.locator("dl.details")).to_be_visible()
        shown = page.locator("dl.details").inner_text()
        assert [text for text in texts if text not in shown] == [], shown


def test_details_link_to_the_artifacts(page: Page, states: Site) -> None:
    page.goto(f"{states.url}/jobs/job-collected")
    expect(page).to_have_title("train resnet · Job artifacts")
    expect(page.get_by_text("Artifacts: All 3 files were collected (2.5 KiB).")).to_be_visible()
    page.get_by_role("link", name="View artifacts").click()
    expect(page.get_by_role("tab", name="Artifacts")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")
    expect(page.locator("dl.details")).to_be_visible()


def test_times_are_local_with_utc_in_the_title(page: Page, states: Site) -> None:
    page.goto(f"{states.url}/jobs/job-collected")
    ended = page.locator("dt:text-is('Ended') + dd time")
    iso = ended.get_attribute("datetime")
    assert iso is not None
    assert ended.get_attribute("title") == iso.replace("T", " ").replace("Z", " UTC")
    assert ended.inner_text() == page.evaluate(
        """(iso) => new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23",
                                                    timeZone: "Europe/Berlin" }).format(new Date(iso))""",
        iso,
    )


def test_a_hostile_job_is_shown_as_text(page: Page, states: Site) -> None:
    page.goto(f"{states.url}/jobs/job-hostile")
    name = '<img src=x onerror="document.title=1">\\u{202E}gnp.exe'
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page).to_have_title(f"{name} · Job artifacts")
    expect(page.locator("pre")).to_have_text(
        'echo "</script><script>document.title=1</script>" \\u{202E}\\u{0007} && rm -rf ~\necho two'
    )
    expect(page.locator("dl.details")).to_contain_text("<b>eve</b>")
    page.get_by_role("link", name="View artifacts").click()
    summary = page.locator(".summary-panel:visible")
    expect(summary).to_contain_text(f"Last error: {name}")
    expect(summary.locator(".paths")).to_have_text(name)
    page.goto(f"{states.url}/?search=job-hostile")
    expect(page.get_by_role("link", name=name)).to_be_visible()
    assert page.locator("main img, main b, main script").count() == 0


@pytest.mark.parametrize("path", ["/jobs/no-such-job", "/jobs/no-such-job/artifacts", "/jobs/%E0%A4%A"])
def test_a_missing_job_shows_job_not_found(page: Page, states: Site, path: str) -> None:
    page.goto(states.url + path)
    expect(page.get_by_role("heading", name="Job not found")).to_be_visible()
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()

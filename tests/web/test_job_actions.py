"""The actions on artifacts and jobs: extend, pin, delete, cancel, run again."""

import time

import pytest
from playwright.sync_api import Locator, Page, expect

from artifacts.layout import EXPIRED_AT
from tests.web.conftest import OpenPage
from tests.web.job_data import DAY
from tests.web.site import Site


@pytest.fixture
def page(open_page: OpenPage, site: Site) -> Page:
    site.data.add_artifacts(site.data.add_job("job-1", name="train"))
    return open_page(site, "/jobs/job-1/artifacts")


def ask(page: Page, button: str) -> Locator:
    """Click a button and return the dialog that opens."""
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def expiry(site: Site) -> int:
    phjob = site.data.root / "phfs/groups/vision/jobArtifacts/job-1" / EXPIRED_AT
    return int(phjob.read_text())


def test_retention_is_extended_by_days(page: Page, site: Site) -> None:
    before = expiry(site)
    expect(page.get_by_text("(in 6 days)")).to_be_visible()
    dialog = ask(page, "Extend")
    dialog.get_by_label("30 more days").check()
    dialog.get_by_role("button", name="Extend").click()
    expect(page.get_by_text("(in 1 month)")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("Retention extended.")
    expect(page.get_by_role("button", name="Extend")).to_be_focused()
    assert expiry(site) == before + 30 * DAY


def test_retention_is_extended_to_the_end_of_a_local_date(page: Page, site: Site) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 40 * DAY))
    dialog = ask(page, "Extend")
    dialog.get_by_label("Date", exact=True).fill(day)
    expect(dialog.get_by_label("Until the end of")).to_be_checked()
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog).to_have_count(0)
    assert expiry(site) == page.evaluate("(day) => new Date(`${day}T23:59:59`).getTime() / 1000", day)


def test_a_dialog_shows_the_error_of_a_refused_action(page: Page) -> None:
    dialog = ask(page, "Extend")
    dialog.get_by_label("Date", exact=True).fill("2999-12-31")
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at most: use an earlier time, or pin them")
    dialog.get_by_label("Date", exact=True).fill("")
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog.get_by_role("alert")).to_have_text("Choose a date.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Extend")).to_be_focused()


def test_artifacts_are_pinned_with_a_note_and_unpinned(page: Page, site: Site) -> None:
    dialog = ask(page, "Pin")
    dialog.get_by_label("Note (optional)").fill("for the paper \u202e<b>")
    dialog.get_by_role("button", name="Pin").click()
    kept = page.locator(".expiry")
    expect(kept).to_have_text("Pinned by alice, just now: “for the paper \\u{202E}<b>”. Kept until unpinned.")
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    dialog = ask(page, "Unpin")
    expect(dialog).to_contain_text("at the earliest in one day")
    dialog.get_by_role("button", name="Unpin").click()
    expect(kept).to_contain_text("(in 6 days)")


def test_artifacts_are_deleted_after_confirmation(page: Page, site: Site) -> None:
    dialog = ask(page, "Delete")
    expect(dialog).to_contain_text("3 files (2.5 KiB) of train will be deleted")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    dialog = ask(page, "Delete")
    dialog.get_by_role("button", name="Delete 3 files").click()
    expect(page.locator("#announcer")).to_have_text("Deleted 3 files (2.5 KiB).")
    title = "3 files (2.5 KiB) were collected and are no longer in the store."
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    assert not list(site.data.root.glob("phfs/groups/vision/jobArtifacts/job-1/*"))


def test_a_running_job_is_cancelled_after_confirmation(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_job("job-1", "Running")
    page = open_page(site, "/jobs/job-1")
    dialog = ask(page, "Cancel job")
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(page.locator(".phase")).to_have_text("Being cancelled")
    expect(page.get_by_role("heading", name="The job is being cancelled.")).to_be_visible()
    expect(page.get_by_text("The job is running.")).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    assert '"cancel": true' in site.data.paths(job).phjob.read_text()


def test_running_a_job_again_shows_the_new_job(page: Page, site: Site) -> None:
    ask(page, "Run again").get_by_role("button", name="Run again").click()
    expect(page.locator("dl.details")).to_contain_text("python train.py --epochs 10")
    assert not page.url.endswith("job-1")
    expect(page.get_by_role("heading", name="train")).to_be_focused()


@pytest.mark.parametrize(("user", "count"), [("robot", 0), ("root", 1)])
def test_only_permitted_actions_have_buttons(open_page: OpenPage, site: Site, user: str, count: int) -> None:
    site.data.add_artifacts(site.data.add_job("job-1"))
    page = open_page(site, "/jobs/job-1/artifacts", user)
    expect(page.get_by_text("Kept until")).to_be_visible()
    for button in ("Extend", "Pin", "Delete", "Run again"):
        expect(page.get_by_role("button", name=button)).to_have_count(count)

"""People keep artifacts longer, pin and delete them, cancel jobs and run them again: asked before, told after."""

import time

import pytest
from playwright.sync_api import Locator, Page, expect

from artifacts.layout import EXPIRED_AT
from tests.web.conftest import Visit
from tests.web.site import Site
from tests.web.world import DAY


@pytest.fixture
def page(visit: Visit, site: Site) -> Page:
    site.world.leave(site.world.add("job-1", name="train"))
    return visit(site, "/jobs/job-1/artifacts")


def ask(page: Page, button: str) -> Locator:
    """The dialog that a button opens."""
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def expiry(site: Site) -> int:
    phjob = site.world.data / "phfs/groups/vision/jobArtifacts/job-1" / EXPIRED_AT
    return int(phjob.read_text())


def test_artifacts_are_kept_some_days_more(page: Page, site: Site) -> None:
    before = expiry(site)
    expect(page.get_by_text("(in 6 days)")).to_be_visible()
    dialog = ask(page, "Extend")
    dialog.get_by_label("30 more days").check()
    dialog.get_by_role("button", name="Extend").click()
    expect(page.get_by_text("(in 1 month)")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("Retention extended.")
    expect(page.get_by_role("button", name="Extend")).to_be_focused()
    assert expiry(site) == before + 30 * DAY


def test_artifacts_are_kept_until_the_end_of_a_day_where_the_reader_is(page: Page, site: Site) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 40 * DAY))
    dialog = ask(page, "Extend")
    dialog.get_by_label("Date", exact=True).fill(day)
    expect(dialog.get_by_label("Until the end of")).to_be_checked()
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog).to_have_count(0)
    assert expiry(site) == page.evaluate("(day) => new Date(`${day}T23:59:59`).getTime() / 1000", day)


def test_what_the_service_refuses_is_told_in_the_dialog(page: Page) -> None:
    dialog = ask(page, "Extend")
    dialog.get_by_label("Date", exact=True).fill("2999-12-31")
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at most: name an earlier time, or pin them")
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


def test_artifacts_are_deleted_after_a_question_that_names_them(page: Page, site: Site) -> None:
    dialog = ask(page, "Delete")
    expect(dialog).to_contain_text("3 files (2.5 KiB) of train will be deleted")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    dialog = ask(page, "Delete")
    dialog.get_by_role("button", name="Delete 3 files").click()
    expect(page.locator("#announcer")).to_have_text("Deleted 3 files (2.5 KiB).")
    expect(page.get_by_role("heading", name="The artifacts are no longer available.")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    assert not list(site.world.data.glob("phfs/groups/vision/jobArtifacts/job-1/*"))


def test_a_running_job_is_cancelled_after_a_question(visit: Visit, site: Site) -> None:
    job = site.world.add("job-1", "Running")
    page = visit(site, "/jobs/job-1")
    dialog = ask(page, "Cancel job")
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(page.locator(".phase")).to_have_text("Being cancelled")
    expect(page.get_by_role("heading", name="The job is being cancelled.")).to_be_visible()
    expect(page.get_by_text("The job is running.")).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    assert '"cancel": true' in site.world.places(job).phjob.read_text()


def test_a_job_is_run_again_and_the_new_one_shown(page: Page, site: Site) -> None:
    ask(page, "Run again").get_by_role("button", name="Run again").click()
    expect(page.locator("dl.details")).to_contain_text("python train.py --epochs 10")
    assert not page.url.endswith("job-1")
    expect(page.get_by_role("heading", name="train")).to_be_focused()


@pytest.mark.parametrize(("user", "count"), [("robot", 0), ("root", 1)])
def test_only_what_the_reader_may_do_is_offered(visit: Visit, site: Site, user: str, count: int) -> None:
    site.world.leave(site.world.add("job-1"))
    page = visit(site, "/jobs/job-1/artifacts", user)
    expect(page.get_by_text("Kept until")).to_be_visible()
    for button in ("Extend", "Pin", "Delete", "Run again"):
        expect(page.get_by_role("button", name=button)).to_have_count(count)

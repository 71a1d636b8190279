"""Polling: a running job's progress, the end of a job, and an unreachable service."""

import time

from playwright.sync_api import expect

from local.phjob import rfc3339
from tests.web.conftest import OpenPage
from tests.web.site import Site

SKIP = "00:10"


def test_the_artifacts_tab_is_disabled_with_a_count_until_the_job_ends(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_job("job-1", "Running", ago=100)
    site.data.add_artifacts(job, {"a": b"1"}, "syncing")
    page = open_page(site, "/jobs/job-1/artifacts?path=sub", clock=True)
    tab = page.get_by_role("tab", name="Artifacts")
    expect(tab).to_have_attribute("aria-disabled", "true")
    expect(tab).to_have_accessible_description(
        "1 file, 1 byte collected so far. The Artifacts tab opens when the job has ended."
    )
    tab.click(force=True)
    expect(page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")
    site.data.add_artifacts(job, {"a": b"1", "sub/b": b"22"}, "syncing")
    page.clock.fast_forward(SKIP)
    expect(page.locator("#tab-note")).to_contain_text("2 files, 3 bytes collected so far.")
    end(site, job)
    page.clock.fast_forward(SKIP)
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(tab).to_have_attribute("aria-disabled", "false")
    expect(page.get_by_role("heading", name="All 2 files were collected (3 bytes).")).to_be_visible()
    expect(page.get_by_role("link", name="b", exact=True)).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("Job state: Succeeded. The Artifacts tab is open.")


def test_details_update_in_place(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_job("job-1", "Running", ago=100, command="echo " + "x" * 50)
    page = open_page(site, "/jobs/job-1", clock=True)
    command = page.locator("pre.command")
    command.focus()
    command.evaluate("pre => (pre.isSameAsBefore = true)")
    end(site, job)
    page.clock.fast_forward(SKIP)
    expect(page.locator("dl.details")).to_contain_text("The command succeeded.")
    expect(command).to_be_focused()
    assert command.evaluate("pre => pre.isSameAsBefore") is True
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_a_job_page_stays_while_the_service_is_unreachable(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-1"))
    page = open_page(site, "/jobs/job-1/artifacts", clock=True)
    collected = page.get_by_role("heading", name="All 3 files were collected")
    expect(collected).to_be_visible()
    page.context.set_offline(True)
    page.clock.fast_forward("00:40")
    expect(page.get_by_text("The service cannot be reached.")).to_be_visible()
    expect(collected).to_be_visible()
    page.context.set_offline(False)
    page.clock.fast_forward(SKIP)
    expect(page.get_by_text("The service cannot be reached.")).to_have_count(0)


def end(site: Site, job: dict[str, object]) -> None:
    """End the job, with all its files collected."""
    paths = site.data.paths(job)
    files = {
        str(path.relative_to(paths.job_folder)): path.read_bytes()
        for path in paths.job_folder.rglob("*")
        if path.is_file() and ".primehub" not in path.parts and ".metadata" not in path.parts
    }
    status = dict(job["status"]) | {  # type: ignore[call-overload]
        "phase": "Succeeded",
        "reason": "PodSucceeded",
        "message": "main ended: exit code 0",
        "finishTime": rfc3339(time.time() - 1),
    }
    site.data.add_artifacts(site.data.write(dict(job) | {"status": status}), files)

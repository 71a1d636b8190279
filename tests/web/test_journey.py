"""Local mode from end to end: a command writes two files, its page lists them, a click opens one."""

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from local.api_server import address_file
from tests.local.driver import JobDriver, wait_for
from tests.web.conftest import OpenUrl

COMMAND = """mkdir -p artifacts/sub
echo "hello" > artifacts/test.txt
echo "hello" > artifacts/sub/test.txt
until [ -e go ]; do sleep 0.02; done"""
QUICK = {"PHJOB_ARTIFACT_SYNC_SECONDS": "0.2", "PHJOB_ARTIFACT_QUIET_SECONDS": "0"}


def test_a_command_is_run_and_its_artifacts_are_viewed(open_url: OpenUrl, tmp_path: Path) -> None:
    jobs = JobDriver(tmp_path / "data")
    server = jobs.serve(**QUICK)
    try:
        wait_for(address_file(jobs.data).exists)
        address = json.loads(address_file(jobs.data).read_text())
        page = open_url(address["url"], f"/#token={address['token']}")
        expect(page.get_by_text("No jobs yet")).to_be_visible()
        _journey(page, jobs)
    finally:
        server.terminate()
        jobs.wait(server)
        jobs.close()


def _journey(page: Page, jobs: JobDriver) -> None:
    page.get_by_role("button", name="Run a command").first.click()
    page.get_by_role("textbox", name="Command").fill(COMMAND)
    page.get_by_role("textbox", name="Name").fill("two files")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name="two files")).to_be_visible()
    expect(page.get_by_role("tab", name="Artifacts")).to_have_attribute("aria-disabled", "true")
    collected = "2 files, 12 bytes collected so far."
    expect(page.locator("#tab-note")).to_contain_text(collected, timeout=30_000)  # the next sync can be late
    (home,) = jobs.data.glob("jobs/*/home")
    (home / "go").touch()
    expect(page.locator(".phase")).to_have_text("Succeeded")
    page.get_by_role("tab", name="Artifacts").click()
    expect(page.get_by_role("heading", name="All 2 files were collected (12 bytes).")).to_be_visible()
    expect(page.get_by_text("(in 7 days)")).to_be_visible()
    page.get_by_role("link", name="sub/", exact=True).click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name=re.compile("^test.txt .*new tab")).click()
    expect(opened.value.locator("pre")).to_have_text("hello\n")
    assert opened.value.url.endswith("/sub/test.txt")

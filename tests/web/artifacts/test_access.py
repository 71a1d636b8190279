"""The Artifacts tab works by keyboard alone, on a phone, in the dark scheme, and with a screen reader."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.artifacts.conftest import OpenArtifacts
from tests.web.artifacts.folders import HOSTILE, address
from tests.web.conftest import OpenPage
from tests.web.site import Site
from tests.web.test_access import NO_POLICY, PHONE, axe_violations

PLACES = {
    "a folder": address("job-mixed"),
    "a folder in it": address("job-mixed", path="plots/"),
    "nothing found": address("job-mixed", search="none"),
    "hostile names": address("job-hostile"),
    "an image": address("job-mixed", file="plots/loss.png"),
    "a table": address("job-mixed", file="results.csv"),
    "a text": address("job-mixed", file="README.md"),
    "a large text": address("job-mixed", file="train.log"),
    "a broken image": address("job-mixed", file="broken.png"),
    "no such file": address("job-mixed", file="none"),
}

WIDE = ("a folder", "hostile names", "an image", "a table", "a large text")  # states with wide content


def wait_until_loaded(page: Page) -> None:
    """Wait until the tab has loaded."""
    expect(page.locator(".files-end p")).not_to_have_text("")
    expect(page.get_by_text("Loading…")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing(open_page: OpenPage, files_site: Site, place: str, scheme: str) -> None:
    page = open_page(files_site, color_scheme=scheme, **NO_POLICY)
    page.goto(files_site.url + PLACES[place])
    wait_until_loaded(page)
    assert axe_violations(page, **({} if scheme == "light" else {"runOnly": ["color-contrast"]})) == []


def test_all_actions_work_by_keyboard(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    expect(page.locator(".files tbody tr")).to_have_count(11)
    keys = page.keyboard
    page.get_by_role("columnheader", name="Modified").get_by_role("button").focus()
    keys.press("Tab")
    expect(page.locator(":focus")).to_contain_text("README.md")
    keys.press("End")
    expect(page.locator(":focus")).to_contain_text("train.log")
    keys.press("ArrowUp")
    keys.press("ArrowUp")
    expect(page.locator(":focus")).to_have_text("plots/")
    keys.press("Enter")
    expect(page.locator(".files tbody tr")).to_have_count(3)
    page.get_by_role("searchbox").focus()
    keys.type("loss")
    expect(page.locator(".files tbody tr")).to_have_count(1)
    for _ in range(20):
        keys.press("Tab")
        if "loss.png" in page.locator(":focus").inner_text():
            break
    keys.press("Tab")
    expect(page.locator(":focus")).to_have_accessible_name("Preview loss.png")
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img")).to_be_visible()
    reached = set()
    for _ in range(8):
        keys.press("Tab")
        reached.add(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
    assert {"Close", "Download", "Copy path", "Copy SHA-256", "Copy curl command"} <= reached
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(":focus")).to_have_accessible_name("Preview loss.png")


def test_the_list_is_a_table_for_screen_readers(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed", path="plots/"))
    expect(page.get_by_role("table", name="Files in plots/")).to_be_visible()
    row = page.get_by_role("table").get_by_role("row").nth(1)
    expect(row.get_by_role("rowheader")).to_contain_text("acc.png")
    expect(row.get_by_role("cell")).to_have_count(3)
    expect(page.get_by_role("columnheader")).to_have_text(["Name", "Size", "Modified", "Actions"])


@pytest.mark.parametrize("place", WIDE)
def test_a_phone_does_not_scroll_horizontally(open_page: OpenPage, files_site: Site, place: str) -> None:
    page = open_page(files_site, PLACES[place], **PHONE)
    wait_until_loaded(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if "file=" not in PLACES[place]:
        return
    dialog = page.get_by_role("dialog")
    assert dialog.evaluate("(dialog) => dialog.scrollWidth") <= 360
    box = dialog.get_by_role("button", name="Close").bounding_box()
    assert box
    assert box["x"] + box["width"] <= 360


def test_a_phone_does_not_truncate_names_sizes_and_times(open_page: OpenPage, files_site: Site) -> None:
    page = open_page(files_site, address("job-hostile"), **PHONE)
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    cut = "(cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
    assert page.locator(".files tbody :is(th, td)").evaluate_all(cut) == []
    for box in (each.bounding_box() for each in page.locator(".files tbody :is(th, td)").all()):
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360

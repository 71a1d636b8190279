"""The list of files: its content and order, folders, search, and their addresses."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.artifacts.conftest import OpenArtifacts
from tests.web.artifacts.folders import MIXED, address
from tests.web.conftest import OpenPage
from tests.web.site import Site

TOP = [
    "README.md",
    "big.json",
    "broken.json",
    "broken.png",
    "empty.txt",
    "latin.txt",
    "metrics.json",
    "model.bin",
    "plots/",
    "results.csv",
    "train.log",
]


def expect_names(page: Page, expected: list[str]) -> None:
    """Wait for these visible names, without the hints for screen readers."""
    names = [re.compile(rf"^{re.escape(name)}( \(in a new tab\))?$") for name in expected]
    expect(page.locator(".files tbody th")).to_have_text(names)


def test_a_folder_is_listed_with_sizes_and_times(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    expect_names(page, TOP)
    row = page.get_by_role("row", name="model.bin")
    expect(row.get_by_role("cell").nth(0)).to_have_text("1.2 MiB")
    expect(row.locator("time")).to_have_attribute("datetime", re.compile(r"^20\d\d-.*Z$"))
    expect(row.locator("time")).to_have_attribute("title", re.compile(r"UTC$"))
    expect(page.get_by_role("status").filter(has_text="11 entries")).to_be_visible()
    expect(page.get_by_role("row", name="plots/").get_by_role("cell").nth(0)).to_have_text("Folder")


def test_a_column_heading_sorts_and_shows_the_order(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    size = page.get_by_role("columnheader", name="Size")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    size.get_by_role("button").click()
    expect(size).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("columnheader", name="Name")).not_to_have_attribute("aria-sort", re.compile("."))
    by_size = sorted((name for name in MIXED if "/" not in name), key=lambda name: (-len(MIXED[name]), name))
    expect(page.locator(".files tbody tr").first).to_contain_text(by_size[0])
    assert [name.split(" (")[0] for name in page.locator(".files tbody th").all_text_contents()][:3] == by_size[:3]
    expect(page).to_have_url(re.compile(re.escape("?sort=-size") + "$"))
    size.get_by_role("button").click()
    expect(size).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".files tbody tr").last).to_contain_text(by_size[0])
    page.get_by_role("columnheader", name="Modified").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Modified")).to_have_attribute("aria-sort", "descending")
    page.reload()
    expect(page.get_by_role("columnheader", name="Modified")).to_have_attribute("aria-sort", "descending")


def test_folders_can_be_opened_and_back_returns(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    page.get_by_role("link", name="plots/", exact=True).click()
    expect_names(page, ["acc.png", "deep/", "loss.png"])
    page.get_by_role("link", name="deep/", exact=True).click()
    expect_names(page, ["notes.txt"])
    crumbs = page.get_by_role("navigation", name="Folders")
    expect(crumbs.get_by_role("listitem")).to_have_text(["All files", "plots", "deep"])
    expect(page).to_have_url(re.compile(re.escape("?path=plots%2Fdeep%2F") + "$"))
    page.go_back()
    expect_names(page, ["acc.png", "deep/", "loss.png"])
    page.go_forward()
    crumbs.get_by_role("link", name="All files").click()
    expect_names(page, TOP)
    page.go_back()
    page.go_back()
    page.go_back()
    expect_names(page, TOP)
    expect(page).to_have_url(re.compile(re.escape("/artifacts") + "$"))


@pytest.mark.parametrize("path", ["plots/deep/", "plots/deep"])
def test_a_folder_has_an_address(open_artifacts: OpenArtifacts, path: str) -> None:
    page = open_artifacts(address("job-mixed", path=path))
    expect_names(page, ["notes.txt"])


@pytest.mark.parametrize("path", ["none/", "README.md"])
def test_the_address_of_a_missing_folder_shows_a_message(open_artifacts: OpenArtifacts, path: str) -> None:
    page = open_artifacts(address("job-mixed", path=path))
    expect(page.get_by_text("does not exist or is empty")).to_be_visible()
    page.get_by_role("navigation", name="Folders").get_by_role("link", name="All files").click()
    expect_names(page, TOP)


@pytest.mark.parametrize("path", ["..", "../../other", "/", "a//b"])
def test_an_invalid_folder_in_the_address_shows_all_files(open_artifacts: OpenArtifacts, path: str) -> None:
    page = open_artifacts(address("job-mixed", path=path))
    expect_names(page, TOP)


def test_search_includes_subfolders_and_is_in_the_address(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    field = page.get_by_role("searchbox", name="Search all files")
    field.press_sequentially("NOTES")
    expect_names(page, ["plots/deep/notes.txt"])
    expect(page.get_by_role("status").filter(has_text="1 file found")).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape("?search=NOTES") + "$"))
    expect(field).to_be_focused()
    field.fill("<b>none</b>")
    expect(page.get_by_text("No file has “<b>none</b>” in its path.")).to_be_visible()
    field.fill("")
    expect_names(page, TOP)
    open_artifacts(address("job-mixed", path="plots/", search="png"), page)
    expect(page.get_by_role("searchbox", name="Search in plots/")).to_have_value("png")
    expect_names(page, ["acc.png", "loss.png"])


def test_back_to_another_search_replaces_the_text_of_a_focused_field(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    page.get_by_role("link", name="plots/", exact=True).click()
    page.get_by_role("searchbox").press_sequentially("loss")
    expect_names(page, ["loss.png"])
    page.go_back()
    expect_names(page, TOP)
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_text_typed_while_an_earlier_search_is_shown_is_preserved(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    expect_names(page, TOP)
    field = page.get_by_role("searchbox")
    field.press_sequentially("no", delay=20)
    page.wait_for_url("**search=no")
    field.press_sequentially("tes", delay=120)
    expect_names(page, ["plots/deep/notes.txt"])
    expect(field).to_have_value("notes")


def test_typing_sends_one_request(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    expect_names(page, TOP)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "graphql" in request.url else None)
    page.get_by_role("searchbox").press_sequentially("notes", delay=20)
    expect_names(page, ["plots/deep/notes.txt"])
    assert sum("itemsConnection" in body for body in asked) == 1


def test_an_error_is_shown_and_can_be_retried(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    expect_names(page, TOP)
    page.route("**/api/graphql", lambda route: route.abort())
    page.get_by_role("link", name="plots/", exact=True).click()
    notice = page.get_by_role("alert").filter(has_text="The files cannot be listed.")
    expect(notice).to_contain_text("The service cannot be reached.")
    page.unroute("**/api/graphql")
    notice.get_by_role("button", name="Retry").click()
    expect_names(page, ["acc.png", "deep/", "loss.png"])
    expect(notice).to_have_count(0)


def test_new_files_are_shown(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_job("job-1")
    site.data.add_artifacts(job, {"first": b"1"}, state="syncing")
    claimed = site.data.root / "jobs/job-1"
    claimed.mkdir(parents=True)  # the collector has not finished
    page = open_page(site, address("job-1"))
    expect_names(page, ["first"])
    site.data.add_artifacts(job, {"first": b"1", "second": b"2"}, state="syncing")
    expect(page.locator(".files tbody tr")).to_have_count(2)
    expect_names(page, ["first", "second"])


def test_deleted_files_disappear(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-1"))
    page = open_page(site, address("job-1"))
    expect(page.locator(".files tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").last.click()
    expect(page.locator(".files")).to_have_count(0)

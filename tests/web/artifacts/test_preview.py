"""Previews: each type of file, partial loading, opening and closing."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.artifacts.conftest import BLANK_PAGE, OpenArtifacts
from tests.web.artifacts.folders import MIB, MIXED, address
from tests.web.conftest import OpenPage
from tests.web.site import Site

Preview = Callable[[str], Locator]


@pytest.fixture
def preview(open_artifacts: OpenArtifacts) -> Preview:
    """`preview(file)` opens the address of a file's preview and returns the dialog."""

    def preview(file: str, job: str = "job-mixed") -> Locator:
        dialog = open_artifacts(address(job, file=file)).get_by_role("dialog")
        expect(dialog.locator(".preview-content, [role=alert]").first).to_be_visible()
        expect(dialog.get_by_text("Loading…")).to_have_count(0)
        return dialog

    return preview


def cells(dialog: Locator, row: int) -> list[str]:
    return dialog.get_by_role("row").nth(row).locator("th, td").all_text_contents()


def test_an_image_is_shown(preview: Preview) -> None:
    image = preview("plots/loss.png").get_by_role("img")
    expect(image).to_be_visible()
    expect(image).to_have_accessible_name("Image loss.png")
    image.evaluate("(image) => image.decode()")
    assert image.evaluate("(image) => image.naturalWidth") == 80


def test_an_invalid_image_shows_an_error(preview: Preview) -> None:
    expect(preview("broken.png").get_by_role("alert")).to_contain_text("The browser cannot show this image.")


def test_a_csv_is_shown_as_a_table_or_as_text(preview: Preview) -> None:
    dialog = preview("results.csv")
    assert cells(dialog, 0) == ["", "id", "remark"]
    assert cells(dialog, 1) == ["1", "0", "line one\nline, two"]
    expect(dialog.get_by_role("row")).to_have_count(501)
    expect(dialog.get_by_text("Only the first 500 rows are shown.")).to_be_visible()
    dialog.get_by_role("button", name="Show as plain text").click()
    expect(dialog.get_by_role("region", name="Text")).to_contain_text('0,"line one\nline, two"')
    expect(dialog.get_by_role("button", name="Show as a table")).to_be_focused()


def test_json_is_indented_and_keeps_its_digits(preview: Preview) -> None:
    text = preview("metrics.json").get_by_role("region", name="Text")
    assert text.text_content() == '{\n  "loss": [\n    0.5,\n    0.25\n  ],\n  "seed": 12345678901234567890\n}'


def test_invalid_json_is_shown_as_text_with_the_error(preview: Preview) -> None:
    dialog = preview("broken.json")
    problem = "expected a name in double quotes at line 1, column 9"
    expect(dialog.get_by_text(f"This is not valid JSON: {problem}.")).to_be_visible()
    assert dialog.get_by_role("region", name="Text").text_content() == '{"a": 1,}'
    expect(dialog.get_by_role("button", name="Show as")).to_have_count(0)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("model.bin", "This file is not text and cannot be shown here. Download it instead."),
        ("empty.txt", "This file is empty."),
        ("latin.txt", "Decoded as Windows-1252."),
    ],
)
def test_binary_empty_and_non_utf8_files_have_a_note(preview: Preview, file: str, words: str) -> None:
    expect(preview(file).get_by_text(words)).to_be_visible()


@pytest.mark.parametrize("file", ["none.txt", "plots", ".primehub/metadata/report.json"])
def test_a_missing_file_shows_an_error(preview: Preview, file: str) -> None:
    expect(preview(file).get_by_role("alert")).to_contain_text("File not found.")


def test_a_large_file_is_loaded_in_parts_on_request(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(BLANK_PAGE)
    ranges: list[str] = []
    page.on(
        "request",
        lambda request: ranges.append(request.headers.get("range", "")) if "/files/" in request.url else None,
    )
    open_artifacts(address("job-mixed", file="train.log"), page)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("This file is too large to be shown as a whole (2.3 MiB).")).to_be_visible()
    assert ranges == ["bytes=0-4095"]
    dialog.get_by_role("button", name="Show the first 256 KiB").click()
    text = dialog.get_by_role("region", name="Text")
    expect(dialog.get_by_text("The first 256 KiB of 2.3 MiB.")).to_be_visible()
    assert text.text_content() == MIXED["train.log"][: MIB // 4].decode()
    dialog.get_by_role("button", name="Show the last 256 KiB").click()
    expect(dialog.get_by_text("The last 256 KiB of 2.3 MiB.")).to_be_visible()
    lines = MIXED["train.log"][-MIB // 4 :].decode().split("\n", 1)[1]
    assert text.text_content() == lines, "must start with a complete line"
    expect(text.get_by_text("step 199999")).to_be_in_viewport()
    assert ranges[1:] == ["bytes=0-262143", "bytes=-262144"]


def test_the_first_part_of_large_json_is_indented(preview: Preview) -> None:
    dialog = preview("big.json")
    dialog.get_by_role("button", name="Show the first 256 KiB").click()
    expect(dialog.get_by_role("region", name="Text")).to_contain_text("[\n  1234567890123456789,\n")
    expect(dialog.get_by_text("This is not valid JSON")).to_have_count(0)


def test_a_preview_opens_from_the_list_and_returns_to_it(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    link = page.get_by_role("link", name="Preview metrics.json")
    link.click()
    dialog = page.get_by_role("dialog", name="metrics.json")
    expect(dialog).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape("?file=metrics.json") + "$"))
    expect(dialog.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(re.escape("/artifacts") + "$"))
    expect(link).to_be_focused()
    page.go_forward()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize("way", ["button", "escape", "beside"])
def test_closing_a_linked_preview_shows_its_folder(open_artifacts: OpenArtifacts, way: str) -> None:
    page = open_artifacts(address("job-mixed", file="plots/loss.png"))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("2 of 2")).to_be_visible()
    if way == "button":
        dialog.get_by_role("button", name="Close").click()
    elif way == "escape":
        page.keyboard.press("Escape")
    else:
        page.mouse.click(3, 300)
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(re.escape("?path=plots%2F") + "$"))
    expect(page.locator(".files tbody tr")).to_have_count(3)


@pytest.fixture
def opened(open_artifacts: OpenArtifacts) -> Page:
    """A preview that was opened from its folder, after the job's Details tab."""
    page = open_artifacts("/jobs/job-mixed")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name="Preview metrics.json").click()
    expect(page.get_by_role("dialog", name="metrics.json")).to_be_visible()
    return page


def test_a_second_click_on_close_does_not_go_back_twice(opened: Page) -> None:
    opened.get_by_role("button", name="Close").evaluate("(button) => { button.click(); button.click(); }")
    expect(opened.get_by_role("dialog")).to_have_count(0)
    opened.wait_for_timeout(500)
    expect(opened).to_have_url(re.compile(re.escape("/artifacts") + "$"))


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_a_preview_reached_by_forward_closes_to_its_folder(opened: Page, is_reloaded: bool) -> None:
    dialog = opened.get_by_role("dialog", name="metrics.json")
    opened.keyboard.press("Escape")
    expect(opened).to_have_url(
        re.compile(re.escape("/artifacts") + "$")
    )  # history.back() completes after the dialog has closed
    opened.go_forward()
    expect(dialog).to_be_visible()
    if is_reloaded:
        opened.reload()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    expect(opened).to_have_url(re.compile(re.escape("/artifacts") + "$"))
    opened.go_back()
    expect(opened).to_have_url(re.compile("/jobs/job-mixed$"))


def test_previous_and_next_move_between_files(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed", sort="-name"))
    page.get_by_role("link", name="Preview train.log").click()
    dialog = page.get_by_role("dialog")
    forward, back = dialog.get_by_role("button", name="Next"), dialog.get_by_role("button", name="Previous")
    expect(back).to_have_attribute("aria-disabled", "true")
    for name in ("results.csv", "model.bin"):  # skips the folder between them
        forward.click()
        expect(dialog).to_have_accessible_name(name)
    expect(forward).to_be_focused()
    expect(dialog.get_by_text("3 of 10")).to_be_visible()
    back.click()
    expect(dialog).to_have_accessible_name("results.csv")
    assert "file=results.csv" in page.url
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(re.escape("?sort=-name") + "$"))  # all steps share one history entry
    expect(page.get_by_role("row", name="results.csv").get_by_role("rowheader").get_by_role("link")).to_be_focused()


def test_next_after_the_last_loaded_file_loads_more(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-many", file="shard-00199.bin"))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("200 of 200 or more")).to_be_visible()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog).to_have_accessible_name("shard-00200.bin")


def test_an_error_is_shown_and_can_be_retried(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    page.route("**/api/files/**", lambda route: route.abort())
    page.get_by_role("link", name="Preview README.md").click()
    notice = page.get_by_role("dialog").get_by_role("alert")
    expect(notice).to_contain_text("The service cannot be reached.")
    page.unroute("**/api/files/**")
    notice.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("region", name="Text")).to_contain_text("# Title")


def test_the_end_of_the_session_closes_the_preview(open_page: OpenPage, site: Site) -> None:
    site.data.add_artifacts(site.data.add_job("job-1"))
    page = open_page(site, address("job-1", file="metrics.csv"))
    dialog = page.get_by_role("dialog", name="metrics.csv")
    expect(dialog.get_by_role("table")).to_be_visible()
    del site.users.accepted["alice"]
    dialog.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("dialog")).to_have_count(0)


def test_path_digest_and_curl_command_are_copied(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed", file="plots/acc.png"))
    dialog = page.get_by_role("dialog")
    copied = {}
    for what in ("path", "SHA-256", "curl command"):
        dialog.get_by_role("button", name=f"Copy {what}", exact=True).click()
        expect(dialog.get_by_role("status").filter(has_text=f"Copied: {what}")).to_have_count(1)
        copied[what] = page.evaluate("navigator.clipboard.readText()")
    assert copied["path"] == "/phfs/jobArtifacts/job-mixed/plots/acc.png"
    assert len(copied["SHA-256"]) == 64
    origin = page.evaluate("location.origin")
    url = f"{origin}/api/files/groups/vision/jobArtifacts/job-mixed/plots/acc.png?download=1"
    line = f"curl --fail --header \"Authorization: Bearer $TOKEN\" '{url}' --output 'acc.png'"
    assert copied["curl command"] == line


def test_the_curl_command_has_a_hint_about_the_token(preview: Preview) -> None:
    hint = preview("README.md").get_by_text("$TOKEN is the token that you sign in with")
    expect(hint).to_be_visible()
    for place in ("organisation's page", "PrimeHub's API token", "local mode", "#token="):
        expect(hint).to_contain_text(place)


def test_without_the_clipboard_api_a_selection_is_copied(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(BLANK_PAGE)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.add_init_script("addEventListener('copy', () => (window.copied = String(document.activeElement.value)))")
    open_artifacts(address("job-mixed", file="README.md"), page)
    button = page.get_by_role("button", name="Copy path")
    button.click()
    expect(button).to_have_text("Copied")
    expect(button).to_be_focused()
    assert page.evaluate("copied") == "/phfs/jobArtifacts/job-mixed/README.md"

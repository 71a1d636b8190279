"""A job's files are untrusted: nothing in them runs in the list, in previews or in tabs."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.artifacts.conftest import BLANK_PAGE, OpenArtifacts
from tests.web.artifacts.folders import HOSTILE, address
from tests.web.processor_time import ProcessorTime

SHOWN_AS = {  # names with escapes
    "cv\u202etxt.exe": "cv\\u{202E}txt.exe",
}


# Matches the loaded content of any preview.
CONTENT = ".preview-text, .preview-table, .preview-content > :is(.notice, .muted:not([role]))"


def expect_unharmed(page: Page) -> None:
    assert page.title() not in ("1", "pwned", "page")
    assert (
        page.locator("main img, main svg:not(.icon), main script, dialog script, dialog svg, iframe, object").count()
        == 0
    )


def test_names_are_shown_with_invisible_characters_escaped(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    names = page.locator(".files tbody th bdi").all_text_contents()
    assert names == [SHOWN_AS.get(name, name) for name in sorted(HOSTILE, key=str.encode)]
    expect_unharmed(page)


def test_previews_run_nothing_and_open_quickly(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(BLANK_PAGE)
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))
    processor = ProcessorTime(page)
    names = sorted(HOSTILE, key=str.encode)
    open_artifacts(address("job-hostile", file=names[0]), page)
    dialog = page.get_by_role("dialog")
    for name in names:
        expect(dialog).to_have_accessible_name(SHOWN_AS.get(name, name))
        began = processor.seconds()
        expect(dialog.locator(CONTENT).first).to_be_visible()
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        assert processor.seconds() - began < 3, name
        if name != "fake.png":
            expect_unharmed(page)
        if name != names[-1]:
            dialog.get_by_role("button", name="Next").click()
    files = {url.partition("/jobArtifacts/")[2] for url in requested_urls if "/api/files/" in url}
    assert len(files) == len(names)
    others = [
        url for url in requested_urls if not re.search("/static/|/api/(files|session|graphql)|/jobs/|/healthz", url)
    ]
    assert others == []


@pytest.mark.parametrize("name", ["page.html", "pic.svg", "page.txt"])
def test_a_preview_shows_the_source_as_text(open_artifacts: OpenArtifacts, name: str) -> None:
    page = open_artifacts(address("job-hostile", file=name))
    assert page.get_by_role("region", name="Text").text_content() == HOSTILE[name].decode()


def test_csv_cells_are_text(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile", file="cells.csv"))
    table = page.get_by_role("dialog").get_by_role("table")
    expect(table.get_by_role("columnheader").last).to_contain_text("<script>")
    expect(table.get_by_role("cell", name="=cmd|x")).to_be_visible()
    expect_unharmed(page)


def test_deeply_nested_json_has_a_preview(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile", file="deep.json"))
    expect(page.get_by_text("Only the first lines are shown.")).to_be_visible()
    expect(page.get_by_role("region", name="Text")).to_contain_text("[\n  [\n    [\n")


@pytest.mark.parametrize("name", ["page.html", "pic.svg", "page.txt", "fake.png"])
def test_a_file_opened_by_its_address_runs_nothing(open_artifacts: OpenArtifacts, name: str) -> None:
    page = open_artifacts(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    title, requested_urls = page.title(), []
    page.context.on("request", lambda request: requested_urls.append(request.url))
    url = page.locator(f"[data-name='{name}'] th a").evaluate("(link) => link.href")
    saved = name in ("page.html", "pic.svg")
    # As a malicious page would: with an opener, which our own links omit.
    with page.context.expect_event("download" if saved else "page"):
        page.evaluate("(url) => void open(url)", url)
    page.request.get(url)  # a script would have sent a request by now
    assert [each for each in requested_urls if not each.endswith("/icon.svg")] == [
        url
    ]  # the browser requests the icon at any time
    assert page.title() == title


@pytest.mark.parametrize("name", ["page.txt", "fake.png"])
def test_a_file_in_a_tab_has_no_origin_and_no_cookies(open_artifacts: OpenArtifacts, name: str) -> None:
    page = open_artifacts(address("job-hostile"))
    with page.expect_popup() as popup:
        page.locator(f"[data-name='{name}'] th a").click()
    tab = popup.value
    tab.wait_for_load_state()
    assert tab.evaluate("self.origin") == "null"
    assert (
        tab.evaluate("(() => { try { return document.cookie } catch (error) { return error.name } })()")
        == "SecurityError"
    )


def test_html_and_svg_are_saved_instead_of_opened(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile"))
    for name in ("page.html", "pic.svg"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == name


def test_files_are_served_sandboxed_and_without_sniffing(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    for link in page.locator(".files tbody th a").all():
        answer = page.request.get(page.evaluate("location.origin") + (link.get_attribute("href") or ""))
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        kind = answer.headers["content-type"].split(";")[0]
        inline = answer.headers["content-disposition"].startswith("inline")
        assert kind in (["text/plain", "image/png"] if inline else ["application/octet-stream"])

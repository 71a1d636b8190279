"""A job's files are hostile: nothing in them runs, neither where they are listed, previewed nor opened."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.web.artifacts.conftest import NOWHERE, Open
from tests.web.artifacts.folders import HOSTILE, address

SHOWN_AS = {  # where what is seen is not the name itself
    "cv\u202etxt.exe": "cv\\u{202E}txt.exe",
}


# What a preview shows in the end, whatever the file is.
CONTENT = ".preview-text, .preview-table, .preview-content > :is(.notice, .muted:not([role]))"


def expect_unharmed(page: Page) -> None:
    assert page.title() not in ("1", "pwned", "page")
    assert (
        page.locator("main img, main svg:not(.icon), main script, dialog script, dialog svg, iframe, object").count()
        == 0
    )


def test_names_are_shown_as_they_are_and_what_cannot_be_seen_as_an_escape(open_tab: Open) -> None:
    page = open_tab(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    names = page.locator(".files tbody th bdi").all_text_contents()
    assert names == [SHOWN_AS.get(name, name) for name in sorted(HOSTILE, key=str.encode)]
    expect_unharmed(page)


def test_previews_run_nothing_and_take_no_time(open_tab: Open) -> None:
    page = open_tab(NOWHERE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    names = sorted(HOSTILE, key=str.encode)
    open_tab(address("job-hostile", file=names[0]), page)
    dialog = page.get_by_role("dialog")
    for name in names:
        expect(dialog).to_have_accessible_name(SHOWN_AS.get(name, name))
        began = time.monotonic()
        expect(dialog.locator(CONTENT).first).to_be_visible()
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        assert time.monotonic() - began < 3, name
        if name != "fake.png":
            expect_unharmed(page)
        if name != names[-1]:
            dialog.get_by_role("button", name="Next").click()
    files = {url.partition("/jobArtifacts/")[2] for url in asked if "/api/files/" in url}
    assert len(files) == len(names)
    others = [url for url in asked if not re.search("/static/|/api/(files|session|graphql)|/jobs/|/healthz", url)]
    assert others == []


@pytest.mark.parametrize("name", ["page.html", "pic.svg", "page.txt"])
def test_its_source_is_shown_as_text(open_tab: Open, name: str) -> None:
    page = open_tab(address("job-hostile", file=name))
    assert page.get_by_role("region", name="Text").text_content() == HOSTILE[name].decode()


def test_cells_of_a_csv_are_texts(open_tab: Open) -> None:
    page = open_tab(address("job-hostile", file="cells.csv"))
    table = page.get_by_role("dialog").get_by_role("table")
    expect(table.get_by_role("columnheader").last).to_contain_text("<script>")
    expect(table.get_by_role("cell", name="=cmd|x")).to_be_visible()
    expect_unharmed(page)


def test_depth_does_not_break_the_preview_of_json(open_tab: Open) -> None:
    page = open_tab(address("job-hostile", file="deep.json"))
    expect(page.get_by_text("Only the first lines are shown.")).to_be_visible()
    expect(page.get_by_role("region", name="Text")).to_contain_text("[\n  [\n    [\n")


@pytest.mark.parametrize("name", ["page.html", "pic.svg", "page.txt", "fake.png"])
def test_opened_by_its_address_it_runs_nothing(open_tab: Open, name: str) -> None:
    page = open_tab(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    title, asked = page.title(), []
    page.context.on("request", lambda request: asked.append(request.url))
    url = page.locator(f"[data-name='{name}'] th a").evaluate("(link) => link.href")
    saved = name in ("page.html", "pic.svg")
    # As a page that means harm would: with an opener, which our own link leaves out.
    with page.context.expect_event("download" if saved else "page"):
        page.evaluate("(url) => void open(url)", url)
    page.request.get(url)  # what ran would have asked for something by now
    assert [each for each in asked if not each.endswith("/icon.svg")] == [
        url
    ]  # the browser asks for that when it likes
    assert page.title() == title


@pytest.mark.parametrize("name", ["page.txt", "fake.png"])
def test_what_is_opened_in_a_tab_has_no_origin_and_no_cookie(open_tab: Open, name: str) -> None:
    page = open_tab(address("job-hostile"))
    with page.expect_popup() as popup:
        page.locator(f"[data-name='{name}'] th a").click()
    tab = popup.value
    tab.wait_for_load_state()
    assert tab.evaluate("self.origin") == "null"
    assert (
        tab.evaluate("(() => { try { return document.cookie } catch (error) { return error.name } })()")
        == "SecurityError"
    )


def test_html_and_svg_that_are_opened_are_saved_instead(open_tab: Open) -> None:
    page = open_tab(address("job-hostile"))
    for name in ("page.html", "pic.svg"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == name


def test_files_are_served_so_that_nothing_in_them_could_run(open_tab: Open) -> None:
    page = open_tab(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    for link in page.locator(".files tbody th a").all():
        answer = page.request.get(page.evaluate("location.origin") + (link.get_attribute("href") or ""))
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        kind = answer.headers["content-type"].split(";")[0]
        inline = answer.headers["content-disposition"].startswith("inline")
        assert kind in (["text/plain", "image/png"] if inline else ["application/octet-stream"])

"""Downloads from the Artifacts tab: files, ZIPs, and links without a signature."""

import io
import shutil
import zipfile
from pathlib import Path

from playwright.sync_api import Download, Page, expect

from tests.web.artifacts.conftest import OpenArtifacts
from tests.web.artifacts.folders import HOSTILE, MIXED, address
from tests.web.conftest import OpenPage
from tests.web.job_data import DAY
from tests.web.site import Site


def saved(page: Page, link: str, exact: bool = True) -> Download:
    with page.expect_download() as download:
        page.get_by_role("link", name=link, exact=exact).click()
    return download.value


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def test_a_click_on_a_text_file_opens_a_new_tab(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed", path="plots/deep/"))
    with page.expect_popup() as popup:
        page.get_by_role("link", name="notes.txt (in a new tab)", exact=True).click()
    expect(popup.value.locator("pre")).to_have_text("deep")
    assert popup.value.evaluate("document.contentType") == "text/plain"
    assert popup.value.evaluate("window.opener") is None


def test_a_click_on_an_image_opens_a_new_tab(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed", path="plots/"))
    with page.expect_popup() as popup:
        page.get_by_role("link", name="loss.png (in a new tab)", exact=True).click()
    popup.value.wait_for_load_state()
    assert popup.value.evaluate("document.images[0].naturalWidth") == 80


def test_a_click_on_another_file_saves_it(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    download = saved(page, "model.bin")
    assert download.suggested_filename == "model.bin"
    assert content(download) == MIXED["model.bin"]
    assert page.url.endswith("/artifacts"), "the page must stay"


def test_a_text_file_can_be_saved(open_artifacts: OpenArtifacts) -> None:
    assert content(saved(open_artifacts(address("job-mixed")), "Download latin.txt")) == MIXED["latin.txt"]


def test_files_with_hostile_names_can_be_saved(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-hostile"))
    expect(page.locator(".files tbody tr")).to_have_count(len(HOSTILE))
    links = page.get_by_role("link", name="Download ").and_(page.locator("tbody a"))
    for number, name in enumerate(sorted(HOSTILE, key=str.encode)):
        with page.expect_download() as download:
            links.nth(number).click()
        assert content(download.value) == HOSTILE[name], name


def test_all_files_or_a_folder_are_saved_as_a_zip(open_artifacts: OpenArtifacts) -> None:
    page = open_artifacts(address("job-mixed"))
    download = saved(page, "Download all (ZIP)")
    assert download.suggested_filename == "job-mixed.zip"
    with zipfile.ZipFile(io.BytesIO(content(download))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"job-mixed/{name}": data for name, data in MIXED.items()
        }
    inside = {f"job-mixed/{name}" for name in MIXED if name.startswith("plots/")}
    for link in ("ZIP of plots/", "Download folder (ZIP)"):
        if "folder" in link:
            page.get_by_role("link", name="plots/", exact=True).click()
            expect(page.locator(".files tbody tr")).to_have_count(3)
        download = saved(page, link)
        assert download.suggested_filename == "job-mixed-plots.zip"
        with zipfile.ZipFile(io.BytesIO(content(download))) as archive:
            assert set(archive.namelist()) == inside


def test_links_are_unsigned_and_need_a_session(open_page: OpenPage, files_site: Site) -> None:
    page = open_page(files_site, address("job-mixed"))
    expect(page.locator(".files tbody tr")).to_have_count(11)
    links = page.locator(".artifacts a").evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")
    files = [link for link in links if link.startswith("/api/files/")]
    assert files
    assert not [link for link in files if "signature" in link or "expires" in link]
    assert page.request.get(files_site.url + files[0]).status == 200
    page.context.clear_cookies()
    assert page.request.get(files_site.url + files[0]).status == 401


def test_a_refused_download_shows_an_error(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_artifacts(site.data.add_job("job-1"))
    page = open_page(site, address("job-1"))
    expect(page.locator(".files tbody tr")).to_have_count(3)
    shutil.rmtree(site.data.paths(job).job_folder / "plots")
    (site.data.paths(job).job_folder / "model.bin").unlink()
    for link, words in {"ZIP of plots/": "no artifacts to download", "model.bin": "has no such artifact"}.items():
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.get_by_role("alert").filter(has_text="The download failed.")).to_contain_text(words)
        assert page.url.endswith("/artifacts")


def test_artifacts_that_expire_while_shown_cannot_be_downloaded(open_page: OpenPage, site: Site) -> None:
    job = site.data.add_artifacts(site.data.add_job("job-1", ago=8 * DAY))
    page = open_page(site, address("job-1"))
    expect(page.locator(".files tbody tr")).to_have_count(3)
    site.data.add_artifacts(job, expires_in=-DAY)
    page.get_by_role("link", name="model.bin", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The download failed.")).to_contain_text("have expired")

"""Takes screenshots of the page in every state (`make screenshots`), two of them for the README."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from playwright.sync_api import Page, expect, sync_playwright

from tests.web import gallery
from tests.web.artifacts.folders import HOSTILE, MIXED
from tests.web.page_pool import PagePool
from tests.web.site import Site, make_site, shared_server
from tests.web.states import STATES

Act = Callable[[Page], object]

README = Path("docs/images")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1180, "height": 760}}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}
DARK: dict[str, Any] = DESKTOP | {"color_scheme": "dark"}
ARTIFACTS = "/jobs/job-incomplete/artifacts"


class View(NamedTuple):
    """A screenshot: address, browser profile, an action before it is taken, and the user."""

    path: str
    profile: dict[str, Any] = DESKTOP
    act: Act | None = None
    user: str = "alice"


def click(name: str) -> Act:
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


def go_offline(page: Page) -> None:
    page.context.set_offline(True)
    page.evaluate("dispatchEvent(new Event('online'))")  # triggers a request
    expect(page.get_by_text("cannot be reached")).to_be_visible()


def wait_for_dialog(page: Page) -> None:
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(300)  # for the content of the dialog


VIEWS = {
    "list": View("/"),
    "list-dark": View("/", DARK),
    "list-phone": View("/", PHONE),
    "list-second-page": View("/?page=2"),
    "list-nothing-found": View("/?search=none"),
    "list-no-such-page": View("/?page=9"),
    "job-dark": View(ARTIFACTS, DARK),
    "job-phone": View(ARTIFACTS, PHONE),
    "job-phone-details": View("/jobs/job-hostile", PHONE),
    "dialog-extend": View("/jobs/job-collected/artifacts", DESKTOP, click("Extend")),
    "dialog-extend-phone": View("/jobs/job-collected/artifacts", PHONE, click("Extend")),
    "dialog-pin": View("/jobs/job-collected/artifacts", DESKTOP, click("Pin")),
    "dialog-delete": View("/jobs/job-collected/artifacts", DARK, click("Delete")),
    "dialog-rerun": View("/jobs/job-collected", DESKTOP, click("Run again")),
    "dialog-cancel": View("/jobs/job-running", DESKTOP, click("Cancel job")),
    "no-such-job": View("/jobs/none"),
    "sign-in": View("/", user=""),
    "session-over": View("/", DARK, user="gone"),
    "offline": View("/jobs/job-running", DESKTOP | {"clock": True}, go_offline),
}

FILES_URL = "/jobs/job-mixed/artifacts"
FILES = {
    "files": View(FILES_URL),
    "files-dark": View(FILES_URL, DARK),
    "files-folder": View(f"{FILES_URL}?path=plots%2F"),
    "files-search": View(f"{FILES_URL}?search=o&sort=-size"),
    "files-nothing-found": View(f"{FILES_URL}?search=zzz"),
    "preview-image": View(f"{FILES_URL}?file=plots%2Floss.png", DESKTOP, wait_for_dialog),
    "preview-table": View(f"{FILES_URL}?file=results.csv", DESKTOP, wait_for_dialog),
    "preview-json": View(f"{FILES_URL}?file=metrics.json", DARK, wait_for_dialog),
    "preview-text": View(f"{FILES_URL}?file=README.md", DESKTOP, wait_for_dialog),
    "preview-large": View(f"{FILES_URL}?file=train.log", DESKTOP, wait_for_dialog),
    "preview-none": View(f"{FILES_URL}?file=model.bin", DESKTOP, wait_for_dialog),
    "preview-phone": View(f"{FILES_URL}?file=results.csv", PHONE, wait_for_dialog),
    "files-hostile": View("/jobs/job-hostile/artifacts"),
    "preview-hostile": View("/jobs/job-hostile/artifacts?file=page.html", DESKTOP, wait_for_dialog),
}


def main(folder: Path) -> None:
    """Recreate `folder` with all screenshots, and write those of the README."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    README.mkdir(parents=True, exist_ok=True)
    with _sites() as (pool, states, gallery_site, files_site, local):
        for name in STATES:
            place = "" if name.startswith(("job-waiting", "job-running")) else "/artifacts"
            _take(pool, states, View(f"/jobs/{name}{place}"), folder / f"{name}.png")
        for name, view in VIEWS.items():
            _take(pool, states, view, folder / f"{name}.png")
        for name, view in FILES.items():
            _take(pool, files_site, view, folder / f"{name}.png")
        _take(pool, local, View("/"), folder / "list-empty.png")
        _take(pool, local, View("/", act=click("Run a command")), folder / "dialog-run.png")
        small = {"viewport": {"width": 1000, "height": 400}}
        _take(pool, gallery_site, View("/", small), README / "jobs.png")
        _take(pool, gallery_site, View("/jobs/job-202611281310-34s0ti/artifacts", small), README / "artifacts.png")
        for error in pool.reset():
            sys.exit(error)
    print(f"{len(list(folder.iterdir()))} screenshots are in {folder}/, two in {README}/")


@contextmanager
def _sites() -> Iterator[tuple[PagePool, Site, Site, Site, Site]]:
    with TemporaryDirectory() as data, shared_server() as server, sync_playwright() as playwright:
        states, gallery_site, files_site = (
            make_site(Path(data, name), server) for name in ("states", "gallery", "files")
        )
        local = make_site(Path(data, "local"), server, is_local=True)
        for make in STATES.values():
            make(states.data)
        gallery.fill(gallery_site.data)
        for job, files in {"job-mixed": MIXED, "job-hostile": HOSTILE}.items():
            files_site.data.add_artifacts(files_site.data.add_job(job), files)
        pool = PagePool(playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]))
        yield pool, states, gallery_site, files_site, local
        pool.close()


def _take(pool: PagePool, site: Site, view: View, path: Path) -> None:
    site.activate()
    page = pool.open_url(site.url, view.path, view.user, **view.profile)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    if view.act:
        view.act(page)
    else:
        _make_tall(page)
    page.wait_for_timeout(150)  # for images
    page.screenshot(path=path)
    page.context.clear_cookies()
    page.close()


def _make_tall(page: Page) -> None:
    """Make the viewport as tall as the page: content outside the viewport is not laid out."""
    view = page.viewport_size
    assert view
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": view["width"], "height": tall})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Pictures of the page in every state, to be looked at: `make screenshots`. Two of them stand in the README."""

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
from tests.web.site import Site, make_site, staging
from tests.web.states import STATES
from tests.web.visitors import Visitors

Act = Callable[[Page], object]

README = Path("docs/images")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1180, "height": 760}}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}
DARK: dict[str, Any] = DESKTOP | {"color_scheme": "dark"}
ARTIFACTS = "/jobs/job-incomplete/artifacts"


class View(NamedTuple):
    """An address, a browser's profile, what is done there before the picture is taken, and who looks."""

    path: str
    profile: dict[str, Any] = DESKTOP
    act: Act | None = None
    user: str = "alice"


def click(name: str) -> Act:
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


def go_offline(page: Page) -> None:
    page.context.set_offline(True)
    page.evaluate("dispatchEvent(new Event('online'))")  # asks at once
    expect(page.get_by_text("cannot be reached")).to_be_visible()


def look(page: Page) -> None:
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(300)  # for what is within


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

LEFT = "/jobs/job-mixed/artifacts"
FILES = {
    "files": View(LEFT),
    "files-dark": View(LEFT, DARK),
    "files-folder": View(f"{LEFT}?path=plots%2F"),
    "files-search": View(f"{LEFT}?search=o&sort=-size"),
    "files-nothing-found": View(f"{LEFT}?search=zzz"),
    "preview-image": View(f"{LEFT}?file=plots%2Floss.png", DESKTOP, look),
    "preview-table": View(f"{LEFT}?file=results.csv", DESKTOP, look),
    "preview-json": View(f"{LEFT}?file=metrics.json", DARK, look),
    "preview-text": View(f"{LEFT}?file=README.md", DESKTOP, look),
    "preview-large": View(f"{LEFT}?file=train.log", DESKTOP, look),
    "preview-none": View(f"{LEFT}?file=model.bin", DESKTOP, look),
    "preview-phone": View(f"{LEFT}?file=results.csv", PHONE, look),
    "files-hostile": View("/jobs/job-hostile/artifacts"),
    "preview-hostile": View("/jobs/job-hostile/artifacts?file=page.html", DESKTOP, look),
}


def main(folder: Path) -> None:
    """Write them all into `folder`, which is made anew, and those of the README."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    README.mkdir(parents=True, exist_ok=True)
    with _visiting() as (visitors, states, shown, left, local):
        for name in STATES:
            place = "" if name.startswith(("job-waiting", "job-running")) else "/artifacts"
            _take(visitors, states, View(f"/jobs/{name}{place}"), folder / f"{name}.png")
        for name, view in VIEWS.items():
            _take(visitors, states, view, folder / f"{name}.png")
        for name, view in FILES.items():
            _take(visitors, left, view, folder / f"{name}.png")
        _take(visitors, local, View("/"), folder / "list-empty.png")
        _take(visitors, local, View("/", act=click("Run a command")), folder / "dialog-run.png")
        small = {"viewport": {"width": 1000, "height": 400}}
        _take(visitors, shown, View("/", small), README / "jobs.png")
        _take(visitors, shown, View("/jobs/job-202611281310-34s0ti/artifacts", small), README / "artifacts.png")
        for problem in visitors.leave():
            sys.exit(problem)
    print(f"{len(list(folder.iterdir()))} pictures are in {folder}/, two in {README}/")


@contextmanager
def _visiting() -> Iterator[tuple[Visitors, Site, Site, Site, Site]]:
    with TemporaryDirectory() as data, staging() as stage, sync_playwright() as playwright:
        states, shown, left = (make_site(Path(data, name), stage) for name in ("states", "shown", "left"))
        local = make_site(Path(data, "local"), stage, is_local=True)
        for make in STATES.values():
            make(states.world)
        gallery.fill(shown.world)
        for job, files in {"job-mixed": MIXED, "job-hostile": HOSTILE}.items():
            left.world.leave(left.world.add(job), files)
        visitors = Visitors(playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]))
        yield visitors, states, shown, left, local
        visitors.close()


def _take(visitors: Visitors, site: Site, view: View, path: Path) -> None:
    site.enter()
    page = visitors.browse(site.url, view.path, view.user, **view.profile)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    if view.act:
        view.act(page)
    else:
        _make_tall(page)
    page.wait_for_timeout(150)  # for pictures within
    page.screenshot(path=path)
    page.context.clear_cookies()
    page.close()


def _make_tall(page: Page) -> None:
    """Let the view be as tall as the page: what nobody would see is not laid out."""
    view = page.viewport_size
    assert view
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": view["width"], "height": tall})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

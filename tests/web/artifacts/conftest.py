"""The page's modules in a browser, and the service over folders that jobs left."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.web.artifacts.folders import HOSTILE, MANY, MIXED
from tests.web.conftest import Visit
from tests.web.site import Site, Stage, make_site

Open = Callable[..., Page]
NOWHERE = "/healthz"  # a page without a script of ours, to be prepared for one that has

STATIC = Path(__file__).parents[3] / "api/web/static"
ORIGIN = "http://modules.test"


class Modules:
    """Calls functions of the page's modules; a page whose origin serves nothing else runs them."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.route(f"{ORIGIN}/**", _serve)
        page.goto(f"{ORIGIN}/")

    def call(self, module: str, function: str, *arguments: Any) -> Any:
        """What the function of that module of the tab returns. Bytes are given as Uint8Array."""
        return self.run(module, f"(module, ...given) => module.{function}(...given)", *arguments)

    def run(self, module: str, script: str, *arguments: Any) -> Any:
        """What the script returns: a function of the module, and of the arguments as `call` gives them."""
        given = [{"bytes": list(each)} if isinstance(each, bytes) else each for each in arguments]
        return self._page.evaluate(
            f"""async ([path, given]) => ({script})(
                 await import(path), ...given.map((each) => (each?.bytes ? new Uint8Array(each.bytes) : each)))""",
            [f"/artifacts/{module}", given],
        )


@pytest.fixture(scope="session")
def modules(browser: Browser) -> Iterator[Modules]:
    with browser.new_context() as context:
        yield Modules(context.new_page())


@pytest.fixture(scope="session")
def left(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> Site:
    """A service with jobs that left folders, which tests leave as they are."""
    site = make_site(tmp_path_factory.mktemp("left"), stage)
    for job, files in {"job-mixed": MIXED, "job-hostile": HOSTILE, "job-many": MANY}.items():
        site.world.leave(site.world.add(job), files)
    return site


@pytest.fixture
def open_tab(visit: Visit, left: Site) -> Open:
    """`open_tab(path)`: a page of somebody who may see those jobs, and lets the page use the clipboard.

    `open_tab(path, page)`: there in that page.
    """

    def open_tab(path: str, page: Page | None = None) -> Page:
        if page is None:
            return visit(left, path, permissions=["clipboard-read", "clipboard-write"])
        page.goto(left.url + path)
        return page

    return open_tab


def _serve(route: Route) -> None:
    path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
    if path.is_file():
        route.fulfill(body=path.read_bytes(), content_type="text/javascript")
    else:
        route.fulfill(body="", content_type="text/html")

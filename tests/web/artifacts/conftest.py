"""Fixtures: the page's modules in a browser, and a service over artifacts of all kinds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.web.artifacts.folders import HOSTILE, MANY, MIXED
from tests.web.conftest import OpenPage
from tests.web.processor_time import ProcessorTime
from tests.web.site import SharedServer, Site, make_site

OpenArtifacts = Callable[..., Page]
BLANK_PAGE = "/healthz"  # a page without scripts, for adding listeners before another one opens

STATIC = Path(__file__).parents[3] / "api/web/static"
ORIGIN = "http://modules.test"


class Modules:
    """Calls functions of the page's modules, in a page whose origin serves only these modules."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.route(f"{ORIGIN}/**", _serve)
        page.goto(f"{ORIGIN}/")
        self.processor = ProcessorTime(page)

    def call(self, module: str, function: str, *arguments: Any) -> Any:
        """Return the result of a function in a module of artifacts/. Bytes are passed as Uint8Array."""
        return self.run(module, f"(module, ...given) => module.{function}(...given)", *arguments)

    def run(self, module: str, script: str, *arguments: Any) -> Any:
        """Return the result of a script: a function of the module and of the arguments, passed as by `call`."""
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
def files_site(tmp_path_factory: pytest.TempPathFactory, server: SharedServer) -> Site:
    """A service with jobs that have artifacts of all kinds. Tests must not change it."""
    site = make_site(tmp_path_factory.mktemp("files"), server)
    for job, files in {"job-mixed": MIXED, "job-hostile": HOSTILE, "job-many": MANY}.items():
        site.data.add_artifacts(site.data.add_job(job), files)
    return site


@pytest.fixture
def open_artifacts(open_page: OpenPage, files_site: Site) -> OpenArtifacts:
    """`open_artifacts(path)` opens a page of a user who has access to those jobs, with access to the clipboard.

    `open_artifacts(path, page)` uses an existing page.
    """

    def open_artifacts(path: str, page: Page | None = None) -> Page:
        if page is None:
            return open_page(files_site, path, permissions=["clipboard-read", "clipboard-write"])
        page.goto(files_site.url + path)
        return page

    return open_artifacts


def _serve(route: Route) -> None:
    path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
    if path.is_file():
        route.fulfill(body=path.read_bytes(), content_type="text/javascript")
    else:
        route.fulfill(body="", content_type="text/html")

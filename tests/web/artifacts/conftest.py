"""The page's modules in a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

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
        given = [{"bytes": list(each)} if isinstance(each, bytes) else each for each in arguments]
        return self._page.evaluate(
            """async ([module, name, given]) => (await import(module))[name](
                 ...given.map((each) => (each?.bytes ? new Uint8Array(each.bytes) : each)))""",
            [f"/artifacts/{module}", function, given],
        )


@pytest.fixture(scope="session")
def modules(browser: Browser) -> Iterator[Modules]:
    with browser.new_context() as context:
        yield Modules(context.new_page())


def _serve(route: Route) -> None:
    path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
    if path.is_file():
        route.fulfill(body=path.read_bytes(), content_type="text/javascript")
    else:
        route.fulfill(body="", content_type="text/html")

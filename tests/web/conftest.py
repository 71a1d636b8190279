"""Fixtures: the system's Chromium, services over made-up jobs, and pages whose consoles must stay silent."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.machine import require
from tests.web.page_pool import TIMEOUT_MS, USER_PROFILE, PagePool
from tests.web.site import SharedServer, Site, make_site, shared_server
from tests.web.states import STATES

_CALL = """async ([module, name, given]) => {
    const result = (await import(module))[name](...given);
    const { textContent: text, title, outerHTML: html } = result ?? {};
    return result instanceof Element ? { text, title, html } : result;
}"""

Call = Callable[..., Any]
OpenUrl = Callable[..., Page]
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def leak_grace_seconds() -> float:
    """A browser may still be sending a request when its test ends."""
    return 10.0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    require(chromium, "Chromium")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pool(browser: Browser) -> Iterator[PagePool]:
    pool = PagePool(browser)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def server() -> Iterator[SharedServer]:
    with shared_server() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, server: SharedServer) -> Site:
    """A service without jobs."""
    return make_site(tmp_path / "data", server)


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory, server: SharedServer) -> Site:
    """A service with a job in every state. Tests must not change it."""
    site = make_site(tmp_path_factory.mktemp("states"), server)
    for make in STATES.values():
        make(site.data)
    return site


@pytest.fixture(scope="session")
def call(browser: Browser, states: Site) -> Iterator[Call]:
    """`call(module, function, *arguments)` calls a JavaScript function. Elements are returned as text and HTML."""
    with browser.new_context(**USER_PROFILE) as context:
        page = context.new_page()
        states.activate()
        page.goto(f"{states.url}/static/format.js")  # a page without scripts

        def call(module: str, function: str, *arguments: Any) -> Any:
            return page.evaluate(_CALL, [f"{states.url}/static/{module}.js", function, list(arguments)])

        yield call


@pytest.fixture
def open_url(pool: PagePool) -> Iterator[OpenUrl]:
    """`open_url(url, path, token, **options)` opens a page in a browser profile.

    Fails the test if the page's console shows an error, for example a violation of the content security policy.
    """
    yield pool.open_url
    assert pool.reset() == []


@pytest.fixture
def open_page(open_url: OpenUrl) -> OpenPage:
    """`open_page(site, path, user, **options)` opens a page of the site as a user; "" is not signed in."""

    def open_page(site: Site, path: str = "/", user: str = "alice", **options: Any) -> Page:
        site.activate()
        return open_url(site.url, path, user, **options)

    return open_page

"""The system's Chromium, the service over made-up jobs, and visitors, whose consoles stay silent."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.machine import require
from tests.web.site import Site, Stage, make_site, staging
from tests.web.states import STATES
from tests.web.visitors import PATIENCE_MS, READER, Visitors

_CALL = """async ([module, name, given]) => {
    const made = (await import(module))[name](...given);
    const { textContent: text, title, outerHTML: html } = made ?? {};
    return made instanceof Element ? { text, title, html } : made;
}"""

Call = Callable[..., Any]
Browse = Callable[..., Page]
Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    require(chromium, "Chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitors(browser: Browser) -> Iterator[Visitors]:
    visitors = Visitors(browser)
    yield visitors
    visitors.close()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with staging() as stage:
        yield stage


@pytest.fixture
def site(tmp_path: Path, stage: Stage) -> Site:
    """A service without any job yet."""
    return make_site(tmp_path / "data", stage)


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> Site:
    """A service with a job in every state, which tests leave as it is."""
    site = make_site(tmp_path_factory.mktemp("states"), stage)
    for make in STATES.values():
        make(site.world)
    return site


@pytest.fixture(scope="session")
def call(browser: Browser, states: Site) -> Iterator[Call]:
    """`call(module, function, *arguments)`: what a function of the page returns; of an element its text and HTML."""
    with browser.new_context(**READER) as context:
        page = context.new_page()
        states.enter()
        page.goto(f"{states.url}/static/format.js")  # a page without a script, and none of ours

        def call(module: str, function: str, *arguments: Any) -> Any:
            return page.evaluate(_CALL, [f"{states.url}/static/{module}.js", function, list(arguments)])

        yield call


@pytest.fixture
def browse(visitors: Visitors) -> Iterator[Browse]:
    """`browse(url, path, token, **options)`: a page in somebody's browser.

    Fails a test in which the page's console had an error, such as one of the content security policy.
    """
    yield visitors.browse
    assert visitors.leave() == []


@pytest.fixture
def visit(browse: Browse) -> Visit:
    """`visit(site, path, user, **options)`: a page of one of the site's people, "" for nobody yet."""

    def visit(site: Site, path: str = "/", user: str = "alice", **options: Any) -> Page:
        site.enter()
        return browse(site.url, path, user, **options)

    return visit

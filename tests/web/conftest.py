"""The system's Chromium, the service over made-up jobs, and visitors, whose consoles stay silent."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from api.auth.request import COOKIE
from tests.machine import require
from tests.web.site import Site, serving
from tests.web.states import STATES

PATIENCE_MS = 10_000
# The browser's own word on a response that a test wants to be an error.
EXPECTED = re.compile(r"Failed to load resource: (the server responded with a status of [45]|net::ERR_)")

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


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A service without any job yet."""
    with serving(tmp_path / "data") as site:
        yield site


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with a job in every state, which tests leave as it is."""
    with serving(tmp_path_factory.mktemp("states")) as site:
        for make in STATES.values():
            make(site.world)
        yield site


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """`visit(site, path, user, **options)`: a page of somebody with a browser of their own.

    Fails a test in which the page's console had an error, such as one of the content security policy.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.match(message.text):
            problems.append(message.text)

    def visit(site: Site, path: str = "/", user: str | None = "alice", **options: Any) -> Page:
        context = browser.new_context(
            base_url=site.url, locale="en-US", timezone_id="Europe/Berlin", reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", heard)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        if user:
            context.add_cookies([{"name": COOKIE, "value": user, "url": site.url}])
        page = context.new_page()
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []

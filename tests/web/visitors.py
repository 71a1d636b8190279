"""People with browsers. A browser's profile is used by one test after another, as its cache spares most of the time."""

import contextlib
import re
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, WebError

from api.auth.cookies import COOKIE

PATIENCE_MS = 10_000
READER: dict[str, Any] = {"locale": "en-US", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"}
# The browser's own word on a response that a test wants to be an error; and on the test's own looking into a file that
# is served in a sandbox, which it says now and then.
_EXPECTED = re.compile(
    r"Failed to load resource: (the server responded with a status of [45]|net::ERR_)"
    r"|Blocked script execution in '[^']*/api/files/[^']*' because the document's frame is sandboxed"
)


class Visitors:
    """Opens pages, and hears what is wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._profiles: dict[str, BrowserContext] = {}
        self._problems: list[str] = []
        self._busy: list[Page] = []

    def browse(self, url: str, path: str = "/", token: str = "", **options: Any) -> Page:
        """A page of the site at `url`, of somebody with this token, "" being none.

        `options`: the profile's, over READER; `clock=True`: time goes on as the test says.
        """
        context = self._profile(options)
        if token:
            context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
        page = next((page for page in context.pages if page not in self._busy), None) or context.new_page()
        self._busy.append(page)
        page.goto(url + path)
        return page

    def leave(self) -> list[str]:
        """Leave all pages and forget who they were; returns what was wrong in them.

        A page that was opened here stays, at an address without a script: one in a new process costs five times as
        much.
        """
        for options, context in list(self._profiles.items()):
            if "clock" in options:
                self._profiles.pop(options).close()
                continue
            context.clear_cookies()
            for page in context.pages:
                self._put_away(page)
        self._busy.clear()
        problems, self._problems[:] = list(self._problems), []
        return problems

    def _put_away(self, page: Page) -> None:
        if page in self._busy:
            with contextlib.suppress(Error):  # its service has gone
                page.unroute_all()
                page.goto(urljoin(page.url, "/static/icon.svg"))
                return
        page.close()

    def close(self) -> None:
        for context in self._profiles.values():
            context.close()

    def _profile(self, options: dict[str, Any]) -> BrowserContext:
        key = repr(sorted(options.items()))
        if key not in self._profiles:
            self._profiles[key] = self._open({name: value for name, value in options.items() if name != "clock"})
            if options.get("clock"):
                self._profiles[key].clock.install()
        return self._profiles[key]

    def _open(self, options: dict[str, Any]) -> BrowserContext:
        context = self._browser.new_context(**(READER | options))
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        return context

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.match(message.text):
            self._problems.append(message.text)

    def _catch(self, error: WebError) -> None:
        self._problems.append(str(error.error))

"""Users with browsers. A browser's profile is used by one test after another, as its cache spares most of the time."""

import contextlib
import re
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, WebError

from api.auth.cookies import COOKIE

TIMEOUT_MS = 30_000  # some machines are slow; a test that passes does not wait for it
USER_PROFILE: dict[str, Any] = {"locale": "en-US", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"}
# Chromium logs error responses, which some tests provoke, and sometimes a test's own script in a sandboxed file.
_EXPECTED = re.compile(
    r"Failed to load resource: (the server responded with a status of [45]|net::ERR_)"
    r"|Blocked script execution in '[^']*/api/files/[^']*' because the document's frame is sandboxed"
)


class PagePool:
    """Opens pages and records the errors in their consoles."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._profiles: dict[str, BrowserContext] = {}
        self._errors: list[str] = []
        self._busy: list[Page] = []

    def open_url(self, url: str, path: str = "/", token: str = "", **options: Any) -> Page:
        """Open a page of the site at `url` with this token, "" for none.

        `options` override USER_PROFILE. With `clock=True` the test controls the time in the page.
        """
        context = self._profile(options)
        if token:
            context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
        page = next((page for page in context.pages if page not in self._busy), None) or context.new_page()
        self._busy.append(page)
        page.goto(url + path)
        return page

    def reset(self) -> list[str]:
        """Leave all pages, sign out, and return the recorded errors.

        The pages stay open at an address without scripts, because a page in a new process costs five times as much.
        """
        for options, context in list(self._profiles.items()):
            if "clock" in options:
                self._profiles.pop(options).close()
                continue
            context.clear_cookies()
            for page in context.pages:
                self._park(page)
        self._busy.clear()
        errors, self._errors[:] = list(self._errors), []
        return errors

    def _park(self, page: Page) -> None:
        if page in self._busy:
            with contextlib.suppress(Error):  # the service has stopped
                page.goto(urljoin(page.url, "/static/icon.svg"))
                page.unroute_all()  # when the page has ended its requests: those that are intercepted now can be lost
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
        context = self._browser.new_context(**(USER_PROFILE | options))
        context.set_default_timeout(TIMEOUT_MS)
        context.on("console", self._on_console)
        context.on("weberror", self._on_web_error)
        return context

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.match(message.text):
            self._errors.append(message.text)

    def _on_web_error(self, error: WebError) -> None:
        self._errors.append(str(error.error))

"""The page's URLs and files, their caching, and their security headers."""

import itertools
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from api.web.assets import FOLDER, Assets
from tests.api.web.site import Visitor

PAGES = ["/", "/jobs", "/jobs/", "/jobs/job-1", "/jobs/job-1/", "/jobs/job-1/artifacts?path=plots%2F&preview=a"]
IMPORT = re.compile(r"""^(?:import|export)\s[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\)""", re.MULTILINE)
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}


class Document(HTMLParser):
    """The URLs that a document refers to, and its inline content that the policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.forbidden: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.forbidden.append(tag)
        self.forbidden += [name for name in given if name.startswith("on") or name == "style"]
        if tag in ("script", "link"):
            self.urls.append(given.get("src") or given.get("href") or "")


def assert_security_headers(headers: object) -> None:
    """Assert that the response has the security headers of a page."""
    given = dict(headers)  # type: ignore[call-overload]
    policy = dict(part.split(" ", 1) for part in given["Content-Security-Policy"].split("; "))
    assert policy == POLICY
    assert given["X-Content-Type-Options"] == "nosniff"
    assert given["Referrer-Policy"] == "no-referrer"
    assert given["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_security_headers_and_is_revalidated(visitor: Visitor, path: str) -> None:
    answer = visitor.open(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert_security_headers(answer.headers)
    assert answer.headers["Cache-Control"] == "no-cache"
    again = visitor.ask("GET", path, {"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_document_has_no_inline_script_or_style(visitor: Visitor) -> None:
    assert Document(visitor.open("/").text).forbidden == []


def test_all_files_are_immutable_at_versioned_urls(visitor: Visitor) -> None:
    waiting = Document(visitor.open("/jobs/job-1").text).urls
    visited: set[str] = set()
    while waiting:
        url = waiting.pop()
        if url in visited:
            continue
        visited.add(url)
        answer = visitor.ask("GET", url)
        assert answer.status_code == 200, url
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if url.endswith(".js"):
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            waiting += [urljoin(url, a or b) for a, b in IMPORT.findall(answer.text)]
    assert {url.split("/")[2] for url in visited} == {Assets().version()}
    scripts = {url.split("/", 3)[3] for url in visited if url.endswith(".js")}
    assert scripts == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js")}


def test_unversioned_or_outdated_urls_are_revalidated(visitor: Visitor) -> None:
    for path in ("/static/main.js", "/static/v0123456789abcdef/main.js"):
        answer = visitor.ask("GET", path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
        again = visitor.ask("GET", path, {"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "none.js",
        "v0123456789abcdef/index.html",
        "%2e%2e/view.py",
        "..%2fassets.py",
        "v0123456789abcdef/..%2f..%2ferror_page.py",
        "%2fetc/passwd",
        "%00.js",
        "a" * 300 + ".js",
        "jobs",
    ],
)
def test_other_files_are_not_served(visitor: Visitor, path: str) -> None:
    answer = visitor.ask("GET", f"/static/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_static_folder_contains_no_symlinks(tmp_path: Path) -> None:
    assert not [path for path in FOLDER.rglob("*") if path.is_symlink()]


def test_version_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text('<script src="/static/main.js"></script>')
    script = tmp_path / "sub/main.js"
    script.write_text("one")
    clock = itertools.count(0)
    assets = Assets(tmp_path, lambda: next(clock))
    first = assets.version()
    assert assets.shell() == f'<script src="/static/{first}/main.js"></script>'
    os.utime(script, (1, 1))
    assert assets.version() == first
    script.write_text("two")
    second = assets.version()
    assert second != first
    script.rename(tmp_path / "main.js")
    assert assets.version() not in (first, second)


def test_all_modules_are_preloaded(visitor: Visitor) -> None:
    text = visitor.open("/").text
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/v[0-9a-f]{16}/([^"]+)">', text)
    assert preloaded == sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js"))
    assert "</head>" in text.split(preloaded[-1])[1]


def test_not_found_is_json_for_clients_and_a_page_for_people(visitor: Visitor) -> None:
    hostile = "/jobs/a/b/%3Cscript%3Ealert(1)%3C/script%3E"
    assert visitor.ask("GET", hostile, {"Accept": "*/*"}).json()["error"]["code"] == "NOT_FOUND"
    shown = visitor.open(hostile)
    assert (shown.status_code, shown.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert_security_headers(shown.headers)
    assert "Page not found" in shown.text
    assert 'href="/"' in shown.text
    assert "alert" not in shown.text
    found = Document(shown.text)
    assert found.forbidden == []
    assert [visitor.ask("GET", url).status_code for url in found.urls] == [200] * len(found.urls)


@pytest.mark.parametrize("name", ["none.txt", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"])
def test_invalid_download_link_shows_a_page_that_leads_to_the_job(visitor: Visitor, name: str) -> None:
    path = f"/api/files/groups/team-a/jobArtifacts/job-1/{name}?user=a&expires=1&key=b&signature=c"
    assert visitor.ask("GET", path, {"Accept": "*/*"}).json()["error"]["code"] == "UNAUTHENTICATED"
    shown = visitor.open(path)
    assert (shown.status_code, shown.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert_security_headers(shown.headers)
    assert "This link is invalid or has expired" in shown.text
    assert 'href="/jobs/job-1/artifacts"' in shown.text
    assert "alert" not in shown.text


def test_download_without_a_session_shows_where_to_sign_in(visitor: Visitor) -> None:
    path = "/api/files/groups/team-a/jobArtifacts/job-1/none.txt"
    shown = visitor.open(path, "none")
    assert shown.status_code == 401
    assert "Open the file from the job&#39;s page; you may have to sign in first." in shown.text
    visitor.enter("alice")
    shown = visitor.open(path, "none")
    assert shown.status_code == 404
    assert "sign in first" not in shown.text

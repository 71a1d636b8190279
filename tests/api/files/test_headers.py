"""Headers of downloads: content types, dispositions, and that no name can inject a header."""

import re
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.files.headers import archive_headers, content_type, disposition, file_headers
from api.files.names import safe_name
from api.store.store import FileStat

STAT = FileStat(10, 1_000_000_000, "tag")
TEXT = "text/plain; charset=utf-8"
UNKNOWN = "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", TEXT), ("A.LOG", TEXT), ("a.json", TEXT), ("a.py", TEXT), ("README", TEXT), ("a.md", TEXT),
        ("a.png", "image/png"), ("a.JPG", "image/jpeg"), ("a.gif", "image/gif"), ("a.webp", "image/webp"),
        ("a.html", UNKNOWN), ("a.htm", UNKNOWN), ("a.xhtml", UNKNOWN), ("a.svg", UNKNOWN), ("a.xml", UNKNOWN),
        ("a.pdf", UNKNOWN), ("a.swf", UNKNOWN), ("a.mhtml", UNKNOWN), ("a.txt.html", UNKNOWN), ("txt", UNKNOWN),
        ("a.txt ", UNKNOWN), ("a", UNKNOWN), ("", UNKNOWN), (".png", "image/png"), ("a.avif", UNKNOWN),
    ],
)  # fmt: skip
def test_only_text_and_images_have_a_content_type(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_files_without_a_content_type_are_attachments() -> None:
    assert file_headers("d/a.html", STAT, download=False)["Content-Disposition"].startswith("attachment;")
    assert file_headers("d/a.txt", STAT, download=False)["Content-Disposition"].startswith("inline;")
    assert file_headers("d/a.txt", STAT, download=True)["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("encoded", "header"),
    [
        ("a.txt", "filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ("naïve 文.txt", "filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E6%96%87.txt"),
        ('a"; filename="b.exe', "filename=\"a_; filename=_b.exe\"; filename*=UTF-8''a_%3B%20filename%3D_b.exe"),
        ("a%0D%0ASet-Cookie: b", "filename=\"a__Set-Cookie_ b\"; filename*=UTF-8''a__Set-Cookie_%20b"),
        ("100%.txt", "filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("photo\u202egpj.exe", "filename=\"photo_gpj.exe\"; filename*=UTF-8''photo_gpj.exe"),
    ],
)
def test_hostile_names_are_escaped(encoded: str, header: str) -> None:
    assert disposition(safe_name(encoded), attachment=True) == f"attachment; {header}"


@pytest.mark.parametrize("modified", [-1.0, -1e18, 1e18, 2e15])
def test_an_invalid_modification_time_is_omitted(modified: float) -> None:
    assert "Last-Modified" not in file_headers("a", FileStat(1, modified, "tag"), download=False)


@given(st.floats(0, 253402300799))
def test_last_modified_is_rounded_down_to_seconds(modified: float) -> None:
    header = file_headers("a", FileStat(1, modified, "tag"), download=False)["Last-Modified"]
    assert parsedate_to_datetime(header).timestamp() == int(modified)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40), st.booleans())
@example("\r\n\x00\u2028", True)
def test_no_name_can_inject_a_header(path: str, download: bool) -> None:
    for headers in (file_headers(path, STAT, download), archive_headers("job", path)):
        for header in headers.values():
            assert re.fullmatch(r"[\x20-\x7e]+", header)
    name, header = safe_name(path.rpartition("/")[2]), file_headers(path, STAT, download)["Content-Disposition"]
    form = r"(?:inline|attachment); filename=\"[^\"\\]*\"; filename\*=UTF-8''([\w%.~-]*)"
    found = re.fullmatch(form, header, re.ASCII)
    assert found, header
    assert unquote(found[1]) == name

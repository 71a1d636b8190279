"""Paths and names of files: URLs, breadcrumbs, curl commands, file types, decoding."""

import re
import shlex
import subprocess
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.files import headers
from api.files.target import parse_target
from artifacts.names import encode_path, path_problem
from tests.web.artifacts.conftest import Modules

PROPERTY_TEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PREFIX = "groups/team-a/jobArtifacts/job-1"
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(encode_path)
paths = names.filter(lambda path: not path_problem(path))


@given(paths)
@PROPERTY_TEST
def test_links_name_the_file(modules: Modules, path: str) -> None:
    for download in (False, True):
        url = modules.call("paths.js", "fileUrl", PREFIX, path, {"download": download})
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+(\?download=1)?", url)
        place, _, query = url.partition("?")
        assert query == ("download=1" if download else "")
        target = parse_target(unquote(place).encode().decode("latin-1"), {})
        assert (target.group, target.job, target.path) == ("team-a", "job-1", path)


@pytest.mark.parametrize(
    ("folder", "url"),
    [
        ("it's (a) !*/", "/api/files/groups/team-a/jobArtifacts/job-1/it%27s%20%28a%29%20%21%2A/?archive=zip"),
        ("", "/api/files/groups/team-a/jobArtifacts/job-1/?archive=zip"),
        ("a b/%0A/", "/api/files/groups/team-a/jobArtifacts/job-1/a%20b/%250A/?archive=zip"),
    ],
)
def test_the_zip_url_of_a_folder_is_encoded(modules: Modules, folder: str, url: str) -> None:
    assert modules.call("paths.js", "zipUrl", PREFIX, folder) == url


@pytest.mark.parametrize(
    ("function", "path", "expected"),
    [
        ("baseName", "a/b/c.txt", "c.txt"),
        ("baseName", "a/b/", "b/"),
        ("baseName", "a", "a"),
        ("parentOf", "a/b/c.txt", "a/b/"),
        ("parentOf", "a/b/", "a/"),
        ("parentOf", "a/", ""),
        ("parentOf", "a", ""),
        ("parentsOf", "", []),
        ("parentsOf", "a/b/", [{"name": "a", "path": "a/"}, {"name": "b", "path": "a/b/"}]),
        ("parseFolder", "", ""),
        ("parseFolder", "a", "a/"),
        ("parseFolder", "a/b/", "a/b/"),
        ("parseFolder", "../x", ""),
        ("parseFolder", "/", ""),
        ("parseFolder", "a//b", ""),
        ("isFolder", "a/", True),
        ("isFolder", "a", False),
        ("isValidPath", "a/..", False),
        ("isValidPath", "a", True),
    ],
)
def test_paths_are_parsed(modules: Modules, function: str, path: str, expected: object) -> None:
    assert modules.call("paths.js", function, path) == expected


def test_the_phfs_path_is_below_phfs(modules: Modules) -> None:
    assert modules.call("paths.js", "phfsPath", PREFIX, "a/b") == "/phfs/jobArtifacts/job-1/a/b"


HOSTILE = [
    "a'b",
    "$(touch x)",
    "`id`",
    "-o",
    "-",
    "a b",
    "x\u202egpj.sh",
    "!!",
    "\\",
    '"',
    "a;b",
    "%0A",
    "naïve",
    "\x1b[2J",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_runs_only_curl_for_any_name(modules: Modules, name: str) -> None:
    path = modules.call("paths.js", "fileUrl", PREFIX, name, {})
    line = modules.call("curl.js", "curlCommand", "https://hub.example.com", path, name)
    program = 'curl() { for word; do printf "%s\\0" "$word"; done; }; TOKEN=secret\n' + line
    ran = subprocess.run(["sh", "-c", program], capture_output=True, check=True, timeout=10)
    words = ran.stdout.decode().split("\0")[:-1]
    assert ran.stderr == b""
    assert words[:3] == ["--fail", "--header", "Authorization: Bearer secret"]
    assert words[3] == f"https://hub.example.com{path}"
    assert words[4] == "--output"
    assert words[5].removeprefix("./") == name.replace("\u202e", "_").replace("\x1b", "_")
    assert not words[5].startswith("-")
    assert shlex.split(line)[4] == words[3]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.png", "image"),
        ("a.JPG", "image"),
        ("a.svg", "text"),
        ("a.html", "text"),
        ("a.md", "text"),
        ("a.csv", "table"),
        ("x/a.tsv", "table"),
        ("a.json", "json"),
        ("n.ipynb", "json"),
        ("a.jsonl", "text"),
        ("png", "text"),
        ("a.csv/x", "text"),
        ("a.", "text"),
    ],
)
def test_the_extension_determines_the_preview(modules: Modules, path: str, kind: str) -> None:
    assert modules.call("file_types.js", "fileType", path) == kind


def test_files_open_in_a_tab_if_the_api_serves_them_inline(modules: Modules) -> None:
    words = (
        headers._TEXT_SUFFIXES | headers._TEXT_NAMES | set(headers._IMAGES) | {"html", "svg", "xml", "pdf", "exe", ""}
    )
    paths = {f"{before}{word}" for word in words | {word.upper() for word in words} for before in ("", "a.", "a.b/")}
    served = {path for path in paths if headers.content_type(path.rsplit("/", 1)[-1]) != "application/octet-stream"}
    assert {path for path in paths if modules.call("file_types.js", "canOpenInBrowser", path)} == served
    assert len(served) > 100


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"", {}, {"text": "", "encoding": "UTF-8"}),
        ("naïve\n".encode(), {}, {"text": "naïve\n", "encoding": "UTF-8"}),
        (b"\xef\xbb\xbfa", {}, {"text": "a", "encoding": "UTF-8"}),
        ("ab€".encode()[:-1], {"isEnd": False}, {"text": "ab", "encoding": "UTF-8"}),
        ("€ab".encode()[1:], {"isStart": False}, {"text": "ab", "encoding": "UTF-8"}),
        ("ab€".encode()[:-1], {}, {"text": "abâ\u201a", "encoding": "Windows-1252"}),
        (b"caf\xe9", {}, {"text": "café", "encoding": "Windows-1252"}),
        ("hä".encode("utf-16"), {}, {"text": "hä", "encoding": "UTF-16"}),
        ("hä".encode("utf-16-be"), {}, None),
        (b"a\0b", {}, None),
        (b"text" * 1000 + b"\0", {}, None),
        (b"\x1f\x8b\x08\x01\x02", {}, None),
        (b"\x1b[31mred\x1b[0m\r50%\b\b", {}, {"text": "\x1b[31mred\x1b[0m\r50%\b\b", "encoding": "UTF-8"}),
    ],
)
def test_bytes_are_decoded_unless_binary(modules: Modules, content: bytes, options: object, expected: object) -> None:
    assert modules.call("decode.js", "decode", content, options) == expected

"""Download URLs: parsing, building, and invalid URLs."""

import os
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import BadInput, NotFoundError
from api.files.target import DownloadTarget, parse_target
from artifacts.names import encode_path, path_problem

GROUP, JOB = st.from_regex(r"[a-z0-9-]{1,9}", fullmatch=True), st.from_regex(r"[a-z0-9.-]{1,9}", fullmatch=True)
PATH = (
    st.lists(st.text(max_size=8).filter(lambda name: name not in ("", ".", "..") and "/" not in name), max_size=4)
    .map("/".join)
    .map(encode_path)
)
MANY_EXAMPLES = settings(deadline=None, max_examples=100)


def path_info(url: str) -> str:
    """Decode a URL's path like a WSGI server."""
    return unquote_to_bytes(url).decode("latin-1")


@MANY_EXAMPLES
@given(GROUP, JOB, PATH, st.booleans(), st.booleans())
def test_a_built_url_is_parsed_back(group: str, job: str, path: str, archive: bool, download: bool) -> None:
    target = DownloadTarget(group, job, path, archive or not path, download)
    assert target.url.isascii()
    assert parse_target(path_info(target.url), target.query) == target


@MANY_EXAMPLES
@given(st.text(alphabet="groups/jobArtifacts.%\x00\\\xff a", max_size=60), st.booleans())
def test_any_url_is_parsed_as_a_safe_path_or_refused(rest: str, archive: bool) -> None:
    query = {"archive": "zip"} if archive else {}
    try:
        path = parse_target(f"/api/files/{rest}", query).path
    except (NotFoundError, BadInput):
        return
    assert path == "" or path_problem(path) is None


@pytest.mark.parametrize("value", ["", "0", "true", "11"])
def test_only_download_1_is_an_attachment(value: str) -> None:
    assert not parse_target("/api/files/groups/a/jobArtifacts/b/c", {"download": value}).download


@MANY_EXAMPLES
@given(st.binary(min_size=1, max_size=12).filter(lambda name: name not in (b".", b"..") and b"/" not in name))
def test_name_that_cannot_be_a_key_denotes_its_key(name: bytes) -> None:
    path = parse_target("/api/files/groups/a/jobArtifacts/b/" + name.decode("latin-1"), {}).path
    key = encode_path(os.fsdecode(name))
    assert path == key or path.encode() == name

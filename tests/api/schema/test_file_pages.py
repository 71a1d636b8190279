"""Pages of a job's files: order, cursors, folders, search, digests, links and limits; the query `files`; usage."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api import listing
from api.auth.links import LinkSigner
from api.files.target import parse_target
from artifacts.layout import MANIFEST, TEMPORARY
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from tests.api.schema.graphql_api import Api

QUERY = """query ($first: Int = 100, $after: String, $prefix: String, $recursive: Boolean,
                  $orderBy: PhJobArtifactOrderByInput, $search: String) {
  phJob(where: {id: "job-1"}) { artifact { itemsConnection(
    first: $first, after: $after, prefix: $prefix, recursive: $recursive, orderBy: $orderBy, search: $search
  ) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { name size } }
  } } } }"""
FILES = {"b.txt": b"22", "a/x.csv": b"1", "a/deep/y.csv": b"333", "a.txt": b"", "c/Ünïcode.TXT": b"4444"}
BY_NAME = ["a.txt", "a/deep/y.csv", "a/x.csv", "b.txt", "c/Ünïcode.TXT"]


@pytest.fixture
def filled(api: Api) -> Api:
    api.add_job("job-1")
    api.write_folder("job-1", FILES)
    return api


def page(api: Api, **arguments: Any) -> Any:
    return api.execute(QUERY, **arguments)["phJob"]["artifact"]["itemsConnection"]


def names(connection: Any) -> list[str]:
    return [edge["node"]["name"] for edge in connection["edges"]]


def all_names(api: Api, **arguments: Any) -> list[str]:
    """Return the names of all pages, two names per page."""
    found: list[str] = []
    after = None
    for number in range(20):
        connection = page(api, first=2, after=after, **arguments)
        assert connection["pageInfo"]["hasPreviousPage"] is (number > 0)
        found += names(connection)
        after = connection["pageInfo"]["endCursor"]
        if not connection["pageInfo"]["hasNextPage"]:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, BY_NAME),
        ({"orderBy": {"name": "desc"}}, BY_NAME[::-1]),
        ({"orderBy": {"size": "asc"}}, ["a.txt", "a/x.csv", "b.txt", "a/deep/y.csv", "c/Ünïcode.TXT"]),
        ({"orderBy": {"size": "desc"}}, ["c/Ünïcode.TXT", "a/deep/y.csv", "b.txt", "a/x.csv", "a.txt"]),
        ({"prefix": "a"}, ["a/deep/y.csv", "a/x.csv"]),
        ({"prefix": "a/"}, ["a/deep/y.csv", "a/x.csv"]),
        ({"prefix": "a/", "recursive": False}, ["a/deep/", "a/x.csv"]),
        ({"prefix": "none"}, []),
        ({"recursive": False}, ["a.txt", "a/", "b.txt", "c/"]),
        ({"recursive": False, "orderBy": {"size": "asc"}}, ["a/", "c/", "a.txt", "b.txt"]),
        ({"search": "CSV"}, ["a/deep/y.csv", "a/x.csv"]),
        ({"search": "ünï"}, ["c/Ünïcode.TXT"]),
        ({"search": "x", "prefix": "a"}, ["a/x.csv"]),
        ({"search": "a", "prefix": "a"}, []),
        ({"search": "deep/", "prefix": "a"}, ["a/deep/y.csv"]),
    ],
)
def test_pages_together_have_all_files(filled: Api, arguments: dict[str, Any], expected: list[str]) -> None:
    assert all_names(filled, **arguments) == expected
    assert page(filled, first=0, **arguments)["totalCount"] == len(expected)


def test_files_with_equal_times_are_all_listed(filled: Api) -> None:
    assert sorted(all_names(filled, orderBy={"lastModified": "desc"})) == BY_NAME


def test_file_deleted_between_pages_does_not_hide_others(filled: Api) -> None:
    first = page(filled, first=2)
    filled.store.delete("groups/team-a/jobArtifacts/job-1/a/deep/y.csv")
    assert names(page(filled, after=first["pageInfo"]["endCursor"])) == BY_NAME[2:]


@pytest.mark.parametrize(
    "after", ["x", "W10=", "bnVsbA==", "WyJuYW1lIiwgMCwgNV0=", "\N{SNOWMAN}", "WyJzaXplIiwgMCwgImEiXQ=="]
)
def test_invalid_cursor_is_refused(filled: Api, after: str) -> None:
    assert filled.execute_error(QUERY, after=after)[0] == "BAD_USER_INPUT"


def test_cursor_of_another_folder_stays_in_the_requested_folder(filled: Api) -> None:
    of_c = page(filled, prefix="c")["pageInfo"]["endCursor"]
    of_root = page(filled, first=1)["pageInfo"]["endCursor"]
    assert names(page(filled, prefix="a", after=of_c)) == []
    assert names(page(filled, prefix="a", after=of_root)) == BY_NAME[1:3]


@pytest.mark.parametrize(
    "prefix", ["..", "../job-10", "a/../..", "/", "/a", "a//b", ".primehub", ".metadata/", "a\0", "."]
)
def test_prefix_cannot_leave_the_job_folder(filled: Api, prefix: str) -> None:
    filled.write_folder("job-10", {"secret": b"1"})
    if prefix == "/":
        assert names(page(filled, prefix=prefix)) == BY_NAME
    else:
        assert filled.execute_error(QUERY, prefix=prefix)[0] == "BAD_USER_INPUT"


@pytest.mark.parametrize("first", [-1, None])
def test_page_size_is_required(filled: Api, first: int | None) -> None:
    assert filled.execute_error(QUERY, first=first)[0] == "BAD_USER_INPUT"


@pytest.mark.parametrize("order", [{"name": "up"}, {"size": "DESC"}])
def test_order_must_be_asc_or_desc(filled: Api, order: dict[str, str]) -> None:
    assert filled.execute_error(QUERY, orderBy=order)[0] == "BAD_USER_INPUT"
    assert (
        filled.execute_error("query ($o: PhJobOrderByInput) { phJobs(orderBy: $o) { id } }", o={"phase": "up"})[0]
        == "BAD_USER_INPUT"
    )


def test_order_must_have_one_field(filled: Api) -> None:
    """An input object has no order of its fields, so two fields would be ambiguous."""
    code, message = filled.execute_error(QUERY, orderBy={"size": "asc", "name": "desc"})
    assert (code, "one field" in message) == ("BAD_USER_INPUT", True)
    jobs = "query ($o: PhJobOrderByInput) { phJobs(orderBy: $o) { id } }"
    code, message = filled.execute_error(jobs, o={"phase": "asc", "groupName": "desc"})
    assert (code, "one field" in message) == ("BAD_USER_INPUT", True)
    assert filled.execute(jobs, o={"phase": "asc", "groupName": None})


def test_collectors_files_are_hidden_and_similar_names_are_not(api: Api) -> None:
    api.add_job("job-1")
    files = {
        "%2Eprimehub/metadata/x": b"1",
        ".primehubs": b"1",
        "sub/.primehub/x": b"1",
        "sub/.metadata/expiredAt": b"1",
    }
    prefix = api.write_folder("job-1", files)
    api.store.write(f"{prefix}{TEMPORARY}/7", b"half")
    items = api.execute('{ phJob(where: {id: "job-1"}) { artifact { items { name } totalCount } } }')["phJob"][
        "artifact"
    ]
    assert sorted(item["name"] for item in items["items"]) == sorted(files)
    assert items["totalCount"] == len(files)
    assert sorted(all_names(api)) == sorted(files)
    assert names(page(api, recursive=False)) == ["%2Eprimehub/", ".primehubs", "sub/"]
    for phfs in (
        "/jobArtifacts/job-1",
        "/jobArtifacts/job-1/.primehub",
        "/jobArtifacts/job-1/.primehub/metadata/expiredAt",
    ):
        for recursive in ("true", "false"):
            where = f'where: {{groupName: "Team_A", phfsPrefix: "{phfs}"}}, options: {{recursive: {recursive}}}'
            found = api.execute(f"{{ files({where}) {{ items {{ name }} }} }}")["files"]["items"]
            assert not [
                item for item in found if item["name"].strip("/").split("/")[0] in (".primehub", ".metadata", "")
            ]


HOSTILE = [
    "<script>alert(1)</script>",
    "a b",
    "%0A",
    "naïve\u202egpj.exe",
    "x" * 255,
    "'\"`$(id)",
    "deep/" * 30 + "f",
    "\U0001d56c",
    "100%",
]


def test_hostile_names_are_returned_unchanged(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", dict.fromkeys(HOSTILE, b"1"))
    assert all_names(api) == sorted(HOSTILE, key=str.encode)
    assert sorted(all_names(api, orderBy={"name": "desc"})) == sorted(HOSTILE)


def test_names_outside_utf8_do_not_hide_others(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"})
    (api.root / "groups/team-a/jobArtifacts/job-1" / b"bad\xff".decode("utf-8", "surrogateescape")).write_bytes(b"1")
    assert all_names(api) == ["a", "bad%FF"]


def test_folder_beyond_the_limit_is_readable_in_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 50)
    api.add_job("job-1")
    files = {f"d{number % 3}/f{number:03d}": b"12" for number in range(51)}
    prefix = api.write_folder("job-1", files)
    artifact = '{ phJob(where: {id: "job-1"}) { artifact { FIELDS } } }'
    code, message = api.execute_error(artifact.replace("FIELDS", "items { name }"))
    assert code == "TOO_LARGE"
    assert "itemsConnection" in message
    for arguments in ({"orderBy": {"size": "asc"}}, {"search": "f"}):
        code, message = api.execute_error(QUERY, **arguments)
        assert code == "TOO_LARGE"
        assert "prefix" in message
    found: list[str] = []
    after = None
    while after is not None or not found:
        connection = page(api, first=20, after=after)
        found += names(connection)
        after = connection["pageInfo"]["endCursor"] if connection["pageInfo"]["hasNextPage"] else None
        assert connection["totalCount"] == 51  # from the manifest
    assert found == sorted(files)
    assert page(api, prefix="d1")["totalCount"] == 17
    totals = artifact.replace("FIELDS", "totalCount totalSize")
    assert api.execute(totals)["phJob"]["artifact"] == {"totalCount": 51, "totalSize": 102}
    whole = api.store.read(prefix + MANIFEST, 1_000_000)
    for broken in (b"{}\n", whole[:-5], whole.replace(b'"size":2', b'"size":"2"', 1)):
        api.store.write(prefix + MANIFEST, broken)
        assert api.execute(totals)["phJob"]["artifact"] == {"totalCount": None, "totalSize": None}


def digests(api: Api) -> dict[str, str | None]:
    query = '{ phJob(where: {id: "job-1"}) { artifact { itemsConnection { nodes { name sha256 } } } } }'
    nodes = api.execute(query)["phJob"]["artifact"]["itemsConnection"]["nodes"]
    return {node["name"]: node["sha256"] for node in nodes}


def test_digest_requires_a_complete_copy_of_equal_size(api: Api) -> None:
    api.add_job("job-1")
    sha = "cd" * 32
    prefix = api.write_folder(
        "job-1", dict.fromkeys(["good", 'sub/ö "x"', "pending", "larger", "unhashed", "unknown"], b"12345")
    )
    header = ManifestHeader("job-1", "uid")
    entries = [
        ManifestEntry("good", 5, 0, 0, 0, sha),
        ManifestEntry('sub/ö "x"', 5, 0, 0, 0, sha, pod_uid="earlier"),
        ManifestEntry("pending", 5, 0, 0, 0, sha, pending=True),
        ManifestEntry("larger", 4, 0, 0, 0, sha),
        ManifestEntry("unhashed", 5, 0, 0, 0, ""),
        ManifestEntry("gone", 5, 0, 0, 0, sha),
    ]
    lines = "".join([format_header(header), *(format_entry(entry, header) for entry in entries)])
    api.store.write(prefix + MANIFEST, lines.encode())
    assert {name for name, digest in digests(api).items() if digest == sha} == {"good", 'sub/ö "x"'}


GOOD = b'{"path":"good","size":1,"mtimeNs":0,"ctimeNs":0,"inode":0,"sha256":"%s"}\n' % (b"cd" * 32)
HEADER = b'{"version": 1, "job": "job-1", "podUid": "uid"}\n'


@pytest.mark.parametrize(
    ("content", "is_valid"),
    [
        (HEADER + GOOD, True),
        (HEADER + b"\n" * 3 + b"nonsense\n" + GOOD, True),
        (HEADER + GOOD[:-1], False),
        (GOOD, False),
        (b"", False),
        (HEADER + b"x" * 100_000 + b"\n" + GOOD, True),
        (HEADER + b"x" * 3_000_000, False),
        (HEADER.replace(b"1", b"2") + GOOD, False),
        (HEADER + GOOD.replace(b"cd", b"CD"), False),
        (HEADER + GOOD.replace(b'"inode":0', b'"inode":"0"'), False),
        (HEADER + GOOD.replace(b'"size":1', b'"size":' + b"9" * 5000), False),
        (b"[" * 100_000, False),
    ],
)
def test_hostile_manifest_yields_only_valid_digests(api: Api, content: bytes, is_valid: bool) -> None:
    api.add_job("job-1")
    prefix = api.write_folder("job-1", {"good": b"1"})
    api.store.write(prefix + MANIFEST, content)
    assert digests(api) == {"good": "cd" * 32 if is_valid else None}


def test_links_grant_access_to_the_group(filled: Api) -> None:
    query = """{ phJob(where: {id: "job-1"}) { artifact {
      downloadUrl itemsConnection(prefix: "a", recursive: false) { nodes { name url downloadUrl } } } } }"""
    artifact = filled.execute(query)["phJob"]["artifact"]
    folder, file = artifact["itemsConnection"]["nodes"]
    urls = [artifact["downloadUrl"], folder["url"], folder["downloadUrl"], file["url"], file["downloadUrl"]]
    link_signer: LinkSigner = filled.services.link_signer
    targets = []
    for url in urls:
        assert re.match("/api/files/groups/team-a/jobArtifacts/job-1/", url)
        query_fields = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        target = parse_target(urlsplit(url).path, query_fields)
        assert link_signer.verify(target, query_fields).groups == ("team-a",)
        targets.append((target.path, target.archive, target.download))
    assert targets == [
        ("", True, True),
        ("a/deep", True, False),
        ("a/deep", True, True),
        ("a/x.csv", False, False),
        ("a/x.csv", False, True),
    ]


@pytest.mark.parametrize(
    ("prefix", "recursive", "expected"),
    [
        ("/", False, ["jobArtifacts/"]),
        ("", False, ["jobArtifacts/"]),
        ("/", True, ["jobArtifacts/job-1/a", "jobArtifacts/job-1/sub/b", "jobArtifacts/job-10/c"]),
        ("/jobArtifacts", True, ["/job-1/a", "/job-1/sub/b", "/job-10/c"]),
        ("jobArtifacts/", True, ["job-1/a", "job-1/sub/b", "job-10/c"]),
        ("/jobArtifacts/", False, ["job-1/", "job-10/"]),
        ("/jobArtifacts/job-1", False, ["a", "sub/"]),
        ("/jobArtifacts/job-1", True, ["/a", "/sub/b"]),
        ("/jobArtifacts/job-1/", True, ["a", "sub/b"]),
        ("/jobArtifacts/job-1/sub", False, ["b"]),
        ("/jobArtifacts/job-1/sub", True, ["/b"]),
        ("/jobArtifacts/job-1/sub/", True, ["b"]),
        ("/jobArtifacts/job-1/sub/b", True, [""]),
        ("/jobArtifacts/job-1/s", True, []),
        ("/jobArtifacts/job", True, []),
        ("/jobArtifacts/job-1/../job-10", True, []),
        ("/jobArtifacts/..", True, []),
        ("/jobArtifacts//job-1", True, []),
        ("//", True, []),
        ("/datasets", False, None),
        ("/../b/jobArtifacts", False, None),
        ("/jobArtifactsX", False, None),
    ],
)
def test_files_query_lists_like_primehub(api: Api, prefix: str, recursive: bool, expected: list[str] | None) -> None:
    api.write_folder("job-1", {"a": b"1", "sub/b": b"1"})
    api.write_folder("job-10", {"c": b"1"})
    query = """query ($prefix: String!, $recursive: Boolean) {
      files(where: {groupName: "Team_A", phfsPrefix: $prefix}, options: {recursive: $recursive, limit: 0}) {
        prefix phfsPrefix items { name size lastModified } } }"""
    if expected is None:
        code, message = api.execute_error(query, prefix=prefix, recursive=recursive)
        assert code == "BAD_USER_INPUT"
        assert "/jobArtifacts" in message
        return
    files = api.execute(query, prefix=prefix, recursive=recursive)["files"]
    assert [item["name"] for item in files["items"]] == expected
    assert files["prefix"] == "groups/team-a" + files["phfsPrefix"]
    for item in files["items"]:
        assert (item["size"] is None) == (item["lastModified"] is None) == item["name"].endswith("/")


def test_files_query_has_a_limit(api: Api) -> None:
    api.write_folder("job-1", {str(number): b"" for number in range(5)})
    where = '{groupName: "team-a", phfsPrefix: "/jobArtifacts/job-1"}'
    query = f"query ($l: Int) {{ files(where: {where}, options: {{limit: $l}}) {{ items {{ name }} }} }}"
    for limit, expected in ((2, 2), (0, 5), (None, 5)):
        assert len(api.execute(query, l=limit)["files"]["items"]) == expected
    assert api.execute_error(query, l=-1)[0] == "BAD_USER_INPUT"


def test_usage_is_measured_and_cached(api: Api) -> None:
    api.write_folder("job-1", {"a": b"12345", "b": b""})
    api.write_folder("job-2", {"c": b"1"})
    query = '{ phJobArtifactUsage(groupName: "Team_A") { groupName jobs files bytes complete measuredAt } }'
    usage = api.execute(query)["phJobArtifactUsage"]
    assert usage.pop("measuredAt").endswith("Z")
    assert usage == {"groupName": "Team_A", "jobs": 2, "files": 3, "bytes": 6, "complete": True}
    api.write_folder("job-3", {"d": b"1"})
    assert api.execute(query)["phJobArtifactUsage"]["jobs"] == 2

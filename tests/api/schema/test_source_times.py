"""lastModified is the modification time of the job's file, from the manifest, and the order follows it."""

import os
from typing import Any

import pytest

from api import manifest
from api.store.store import OpenFile
from artifacts.layout import MANIFEST
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from tests.api.schema.graphql_api import Api

COPIED = 1_700_000_000  # when all files were copied to the store
HEADER = ManifestHeader("job-1", "uid")
FILES = {
    "first": b"1",
    "sub/second \u00e9": b"22",
    'third\\"': b"333",
    "pending": b"4",
    "resized": b"5",
    "unlisted": b"6",
}
ENTRIES = [
    ManifestEntry('third\\"', 3, 1_600_000_300_500_000_000, 0, 0),
    ManifestEntry("sub/second \u00e9", 2, 1_600_000_200_250_000_000, 0, 0, "ab" * 32),
    ManifestEntry("first", 1, -1_000_000_000, 0, 0, unstable=True),
    ManifestEntry("pending", 1, 5, 0, 0, pending=True),
    ManifestEntry("resized", 99, 5, 0, 0),
]
LINES = [format_entry(entry, HEADER) for entry in ENTRIES]
COPY_TIME = "2023-11-14T22:13:20.000Z"
TIMES = {
    "first": "1969-12-31T23:59:59.000Z",
    "sub/second \u00e9": "2020-09-13T12:30:00.250Z",
    "third\\\"": "2020-09-13T12:31:40.500Z",
    "pending": COPY_TIME, "resized": COPY_TIME, "unlisted": COPY_TIME,
}  # fmt: skip
CONNECTION = "itemsConnection(%s) { nodes { name lastModified } pageInfo { hasNextPage endCursor } }"


@pytest.fixture
def api(tmp_path: Any) -> Api:
    api = Api(tmp_path / "phfs")
    api.add_job("job-1")
    folder = api.root / api.write_folder("job-1", FILES)
    for name in FILES:
        os.utime(folder / name, (COPIED, COPIED))
    write_manifest(api, *LINES)
    return api


def write_manifest(api: Api, *lines: str | bytes) -> None:
    content = b"".join(line if isinstance(line, bytes) else line.encode() for line in (format_header(HEADER), *lines))
    (api.root / "groups/team-a/jobArtifacts/job-1" / MANIFEST).write_bytes(content)


def artifact(api: Api, fields: str) -> Any:
    return api.execute(f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {fields} }} }} }}')["phJob"]["artifact"]


def times(rows: Any) -> dict[str, str]:
    return {row["name"]: row["lastModified"] for row in rows}


def listed_times(api: Api) -> dict[str, str]:
    return times(artifact(api, "items { name lastModified }")["items"])


def test_all_queries_have_the_time_of_the_jobs_file(api: Api) -> None:
    assert listed_times(api) == TIMES
    assert times(artifact(api, CONNECTION % "first: 100")["itemsConnection"]["nodes"]) == TIMES
    assert artifact(api, 'item(name: "first") { lastModified }')["item"]["lastModified"] == TIMES["first"]
    prefixes = {
        "/jobArtifacts/job-1/": TIMES,
        "/jobArtifacts/job-1/sub": {"/second \u00e9": TIMES["sub/second \u00e9"]},
        "/jobArtifacts/job-1/first": {"": TIMES["first"]},
        "/jobArtifacts/": {f"job-1/{name}": time for name, time in TIMES.items()},
    }
    query = """query ($prefix: String!) {
      files(where: {groupName: "Team_A", phfsPrefix: $prefix}, options: {recursive: true}) {
        items { name lastModified } } }"""
    for prefix, expected in prefixes.items():
        assert times(api.execute(query, prefix=prefix)["files"]["items"]) == expected


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_the_order_follows_the_shown_times(api: Api, direction: str) -> None:
    rows, after = [], ""
    while True:
        arguments = f'first: 2, after: "{after}", orderBy: {{lastModified: "{direction}"}}'
        page = artifact(api, CONNECTION % arguments)["itemsConnection"]
        rows += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    ordered = sorted(((row["lastModified"], row["name"]) for row in rows), reverse=direction == "desc")
    assert [(row["lastModified"], row["name"]) for row in rows] == ordered
    assert times(rows) == TIMES


@pytest.mark.parametrize(
    "lines",
    [
        [b"\xff\xfe\n"],
        [LINES[0].encode().replace(b'\\"', b"\\x")],
        ["no newline at the end"],
        ["x" * 20_000],
        [LINES[0].replace('"mtimeNs":', '"mtimeNs":9999999')],
        [line.replace('"mtimeNs":', '"mtimeNs":"') for line in LINES],
    ],
)
def test_hostile_manifests_have_no_effect(api: Api, lines: list[str | bytes]) -> None:
    write_manifest(api, *lines)
    assert listed_times(api) == dict.fromkeys(TIMES, COPY_TIME)


def test_without_a_manifest_of_limited_size_the_stores_times_are_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_ENTRIES", len(LINES))
    assert listed_times(api) == TIMES
    monkeypatch.setattr(manifest, "MAX_ENTRIES", len(LINES) - 1)
    assert listed_times(api) == dict.fromkeys(TIMES, COPY_TIME)
    (api.root / "groups/team-a/jobArtifacts/job-1" / MANIFEST).unlink()
    assert listed_times(api) == dict.fromkeys(TIMES, COPY_TIME)


def test_the_manifest_is_read_once_and_only_for_times(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_file = api.store.open

    def record(key: str) -> OpenFile:
        opened.append(key)
        return open_file(key)

    monkeypatch.setattr(api.store, "open", record)
    artifact(api, "items { name size } itemsConnection { nodes { name } }")
    assert [key for key in opened if key.endswith(MANIFEST)] == []
    order = 'orderBy: {lastModified: "desc"}'
    artifact(api, f"items {{ name lastModified }} {CONNECTION % order} other: {CONNECTION % 'first: 9'}")
    assert len([key for key in opened if key.endswith(MANIFEST)]) == 1

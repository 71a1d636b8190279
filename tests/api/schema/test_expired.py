"""Reports of expired artifacts, and totals of folders with too many files to list."""

from typing import Any

import pytest

from api import listing
from artifacts.layout import MANIFEST
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from artifacts.report import Count, Skipped
from tests.api.schema.graphql_api import DAY, Api

ARTIFACT = '{ phJob(where: {id: "job-1"}) { artifact { FIELDS } } }'
REPORT = "report { state message found { files } unstable skipped { reason files detail paths } }"


def artifact(api: Api, fields: str) -> Any:
    return api.execute(ARTIFACT.replace("FIELDS", fields))["phJob"]["artifact"]


def test_report_of_expired_artifacts_has_no_file_names(api: Api) -> None:
    api.add_job("job-1")
    skipped = {"broken_link": Skipped(2, 0, ["secret-name"], "secret detail")}
    api.write_folder(
        "job-1", {"a": b"1"}, message="1 file in the store", found=Count(3, 5), skipped=skipped, unstable=["log"]
    )
    assert artifact(api, REPORT)["report"]["skipped"][0]["paths"] == ["secret-name"]
    api.clock_offset_seconds = 2 * DAY
    assert artifact(api, REPORT)["report"] == {
        "state": "sealed", "message": "1 file in the store", "found": {"files": 3}, "unstable": [],
        "skipped": [{"reason": "broken_link", "files": 2, "detail": None, "paths": []}],
    }  # fmt: skip
    assert "secret" not in str(api.execute(f"{{ phJobs {{ artifact {{ {REPORT} }} }} }}"))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1] * 6, {"totalCount": 6, "totalSize": 6}),
        ([1] * 7, {"totalCount": 7, "totalSize": 7}),
        ([9] * 5, {"totalCount": None, "totalSize": None}),  # fewer files than were listed
        ([0] * 7, {"totalCount": None, "totalSize": None}),  # fewer bytes than were listed
        ([], {"totalCount": None, "totalSize": None}),
    ],
)
def test_manifest_totals_below_the_listing_are_ignored(
    api: Api, monkeypatch: pytest.MonkeyPatch, counts: list[int], expected: dict[str, int | None]
) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 5)
    api.add_job("job-1")
    prefix = api.write_folder("job-1", {f"f{number}": b"1" for number in range(6)})
    header = ManifestHeader("job-1", "uid")
    entries = [format_entry(ManifestEntry(f"f{n}", size, 0, 0, 0), header) for n, size in enumerate(counts)]
    api.store.write(prefix + MANIFEST, "".join([format_header(header), *entries]).encode())
    assert artifact(api, "totalCount totalSize") == expected

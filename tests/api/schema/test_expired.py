"""What is no more, or is past counting, is told as that: reports of expired artifacts, totals that would contradict."""

from typing import Any

import pytest

from api import listing
from artifacts.layout import MANIFEST
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from artifacts.report import Count, Skipped
from tests.api.schema.asking import DAY, Api

ARTIFACT = '{ phJob(where: {id: "job-1"}) { artifact { FIELDS } } }'
REPORT = "report { state message found { files } unstable skipped { reason files detail paths } }"


def shown(api: Api, fields: str) -> Any:
    return api.ask(ARTIFACT.replace("FIELDS", fields))["phJob"]["artifact"]


def test_the_report_of_expired_artifacts_names_no_file(api: Api) -> None:
    api.add("job-1")
    skipped = {"broken_link": Skipped(2, 0, ["secret-name"], "secret detail")}
    api.fill("job-1", {"a": b"1"}, message="1 file in the store", found=Count(3, 5), skipped=skipped, unstable=["log"])
    assert shown(api, REPORT)["report"]["skipped"][0]["paths"] == ["secret-name"]
    api.ahead = 2 * DAY
    assert shown(api, REPORT)["report"] == {
        "state": "sealed", "message": "1 file in the store", "found": {"files": 3}, "unstable": [],
        "skipped": [{"reason": "broken_link", "files": 2, "detail": None, "paths": []}],
    }  # fmt: skip
    assert "secret" not in str(api.ask(f"{{ phJobs {{ artifact {{ {REPORT} }} }} }}"))


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1] * 6, {"totalCount": 6, "totalSize": 6}),
        ([1] * 7, {"totalCount": 7, "totalSize": 7}),
        ([9] * 5, {"totalCount": None, "totalSize": None}),  # there are six at least
        ([0] * 7, {"totalCount": None, "totalSize": None}),  # there are five bytes at least
        ([], {"totalCount": None, "totalSize": None}),
    ],
)
def test_totals_of_a_manifest_never_say_less_than_was_seen(
    api: Api, monkeypatch: pytest.MonkeyPatch, counts: list[int], told: dict[str, int | None]
) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 5)
    api.add("job-1")
    prefix = api.fill("job-1", {f"f{number}": b"1" for number in range(6)})
    header = ManifestHeader("job-1", "uid")
    entries = [format_entry(ManifestEntry(f"f{n}", size, 0, 0, 0), header) for n, size in enumerate(counts)]
    api.store.write(prefix + MANIFEST, "".join([format_header(header), *entries]).encode())
    assert shown(api, "totalCount totalSize") == told

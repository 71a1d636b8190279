"""Paths in the store match the contract, and prefixes match only one job."""

import pytest

from artifacts import layout
from artifacts.errors import InvalidName
from artifacts.names import RESERVED, path_problem


def test_paths_match_the_contract() -> None:
    assert layout.job_folder("job-1") == "jobArtifacts/job-1"
    assert layout.job_prefix("My_Group", "job-1") == "groups/my-group/jobArtifacts/job-1/"
    assert layout.EXPIRED_AT == ".primehub/metadata/expiredAt"
    assert layout.LEGACY_EXPIRED_AT == ".metadata/expiredAt"
    assert layout.MANIFEST == ".primehub/metadata/manifest.jsonl"
    assert layout.REPORT == ".primehub/metadata/report.json"
    assert layout.TEMPORARY == ".primehub/tmp"


def test_prefix_does_not_match_a_job_with_a_longer_name() -> None:
    assert not layout.job_prefix("g", "job-10").startswith(layout.job_prefix("g", "job-1"))


@pytest.mark.parametrize(
    "path", [layout.EXPIRED_AT, layout.LEGACY_EXPIRED_AT, layout.MANIFEST, layout.REPORT, layout.TEMPORARY]
)
def test_artifacts_cannot_have_the_path_of_metadata(path: str) -> None:
    assert path.split("/", 1)[0] in RESERVED
    assert path_problem(path)


@pytest.mark.parametrize(("group", "job"), [("..", "job"), ("g", ".."), ("g/h", "job"), ("g", "a/b"), ("", "j")])
def test_names_cannot_escape_the_job_folder(group: str, job: str) -> None:
    with pytest.raises(InvalidName):
        layout.job_prefix(group, job)


def test_expiry_is_one_line_of_whole_seconds() -> None:
    assert layout.format_expiry(1639987200.99) == b"1639987200\n"

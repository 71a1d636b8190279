"""The guard allows the removal of exactly one job folder, and of nothing else."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.store.guard import check_removable
from artifacts.errors import InvalidName
from artifacts.names import check_job_name, group_path, is_key

# Prefixes that resemble a job folder, with components that might lead elsewhere.
_part = st.one_of(
    st.sampled_from(["", ".", "..", "groups", "jobArtifacts", "job-1", "a_b", "A", "g", "\n", "%2e%2e", "g\0", "-"]),
    st.text(max_size=5),
)
_prefix = st.one_of(
    st.lists(_part, max_size=8).map("/".join), st.builds("groups/{}/jobArtifacts/{}/".format, _part, _part)
)


@given(_prefix)
@example("groups/g/jobArtifacts/job-1/\n")
@example("groups/g/jobArtifacts/job-1//")
@example("/groups/g/jobArtifacts/job-1/")
@example("groups/A_B/jobArtifacts/job-1/")
def test_only_a_job_folder_is_removable(prefix: str) -> None:
    try:
        check_removable(prefix)
    except ValueError:
        return
    parts = re.fullmatch(r"groups/([^/]+)/jobArtifacts/([^/]+)/", prefix)
    assert parts is not None
    assert group_path(parts[1]) == parts[1]
    assert check_job_name(parts[2]) == parts[2]
    assert is_key(prefix[:-1])


@given(group=st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,8}[a-z0-9])?", fullmatch=True), job=st.text("ab1-.", max_size=6))
def test_every_valid_job_folder_is_removable(group: str, job: str) -> None:
    prefix = f"groups/{group}/jobArtifacts/{job}/"
    try:
        check_job_name(job)
    except InvalidName:
        with pytest.raises(ValueError, match="only a job folder"):
            check_removable(prefix)
    else:
        check_removable(prefix, [".primehub/metadata/expiredAt"])


@pytest.mark.parametrize("name", ["", "../job-2/a", "/etc/passwd", "a//b", "a/", ".", "a\n"])
def test_the_last_files_must_be_in_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="in the job folder"):
        check_removable("groups/g/jobArtifacts/job-1/", ["a", name])

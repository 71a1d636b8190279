"""Permissions as a matrix: each kind of caller, each group, and each way to address a job's folder."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.auth.caller import Caller
from api.auth.tokens import ANONYMOUS_ADMIN, SERVICE
from api.errors import NotFoundError
from api.folder import JobFolder, folder_by_group, folder_by_id
from api.jobs.job import Draft, Job
from api.jobs.order import NEWEST_FIRST, JobOrder
from artifacts.errors import InvalidName
from artifacts.names import group_path

NAMES = ("a_b", "a-b", "A_B", "other", "", "a/b", "../a-b", "a_b\x00", "a_b ", "\ud800", "x" * 64)
OURS = ("a_b", "a-b", "A_B")  # they share a folder

CALLERS = {
    "member by a_b": Caller("1", "ann", ("a_b",)),
    "member by a-b": Caller("2", "bob", ("x", "a-b")),
    "member of others": Caller("3", "cid", ("other", "ab", "a")),
    "member of none": Caller("4", "dan"),
    "member of invalid groups": Caller("5", "eve", ("", "..", "a/b", "x" * 64)),
    "service": SERVICE,
    "administrator": Caller("6", "root", (), is_admin=True),
    "anonymous administrator": ANONYMOUS_ADMIN,
}
MEMBERS = ("member by a_b", "member by a-b")
ALL = ("administrator", "anonymous administrator")


def can_see(who: str, group: str) -> bool:
    """A second implementation of the rule."""
    if who in (*ALL, "service"):
        return True
    return (who in MEMBERS and group in OURS) or (who == "member of others" and group == "other")


@pytest.mark.parametrize("group", NAMES, ids=ascii)
@pytest.mark.parametrize("who", CALLERS)
def test_rights_matrix(who: str, group: str) -> None:
    assert CALLERS[who].can_see(group) is can_see(who, group)
    assert CALLERS[who].can_change(group) is (can_see(who, group) and who != "service")


def test_service_changes_nothing_even_as_member_or_administrator() -> None:
    for is_admin in (True, False):
        assert not Caller("7", "both", ("a_b",), is_admin=is_admin, is_service=True).can_change("a_b")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=4) | st.sampled_from(NAMES), max_size=4), st.text(max_size=4) | st.sampled_from(NAMES))
def test_rights_follow_the_group_path_for_any_names(groups: Sequence[str], group: str) -> None:
    caller = Caller("8", "any", tuple(groups))
    folders = {folder_name(own) for own in groups} - {None}
    assert caller.can_see(group) is caller.can_change(group) is (folder_name(group) in folders)


def folder_name(group: str) -> str | None:
    try:
        return group_path(group)
    except InvalidName:
        return None


@dataclass
class Jobs:
    """A job source with these PhJobs."""

    jobs: Sequence[Job]

    def get(self, job: str) -> Job | None:
        return next((found for found in self.jobs if found.id == job), None)

    def read(self, job: Job) -> Job:
        return job

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        return order.sort(self.jobs)

    def create(self, draft: Draft) -> Job:
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        raise NotImplementedError

    def is_collecting(self, job: Job) -> bool:
        raise NotImplementedError

    def has_active_pod(self, group: str, job: str) -> bool:
        raise NotImplementedError

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        raise NotImplementedError

    def annotate_missing(self, job: Job, since: int) -> None:
        raise NotImplementedError

    def check(self) -> None:
        raise NotImplementedError


JOBS = Jobs(
    [
        Job("job-a", "uid-1", "A_B"),
        Job("job-other", "uid-2", "other"),
        Job("job-none", "uid-3", ""),  # without a group; only an administrator can have created it
        Job("job-odd", "uid-4", "../a-b"),
    ]
)


def refusal(job: str) -> str:
    return f'phjobs.primehub.io "{job}" not found'


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize(
    ("job", "group"),
    [
        ("job-a", "a-b"),
        ("job-other", "other"),
        ("job-none", None),
        ("job-odd", None),
        ("job-gone", None),
        ("..", None),
        ("", None),
    ],
)
def test_folder_by_id_hides_whether_a_foreign_job_exists(who: str, job: str, group: str | None) -> None:
    caller = CALLERS[who]
    if group is not None and can_see(who, group):
        assert folder_by_id(JOBS, caller, job) == JobFolder(group, job, JOBS.get(job))
        return
    with pytest.raises(NotFoundError) as refused:
        folder_by_id(JOBS, caller, job)
    assert (str(refused.value), refused.value.code) == (refusal(job), "NOT_FOUND")


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("group", ["a_b", "a-b", "A-B", "other", "", "..", "a/b", "none"])
@pytest.mark.parametrize("job", ["job-a", "job-other", "job-gone", "job-none", "..", "", "JOB-A", "job-a/../job-gone"])
def test_folder_by_group_and_job(who: str, group: str, job: str) -> None:
    """The PhJob's group decides; without a PhJob, the folder's. Every refusal has the same message."""
    caller = CALLERS[who]
    path = {"a_b": "a-b", "a-b": "a-b", "A-B": "a-b", "other": "other", "none": "none"}.get(group)
    owner = {"job-a": "a-b", "job-other": "other", "job-gone": path}.get(job)
    is_visible = can_see(who, path or "") if path != "none" else who in (*ALL, "service")
    if path is not None and path == owner and is_visible:
        assert folder_by_group(JOBS, caller, group, job) == JobFolder(path, job, JOBS.get(job))
        return
    with pytest.raises(NotFoundError) as refused:
        folder_by_group(JOBS, caller, group, job)
    assert (str(refused.value), refused.value.code) == (refusal(job), "NOT_FOUND")


def test_folder_prefix_ends_with_a_slash() -> None:
    folder = folder_by_group(JOBS, CALLERS["member by a_b"], "a_b", "job-a")
    assert folder.prefix == "groups/a-b/jobArtifacts/job-a/"


def test_error_message_does_not_grow_with_the_job_id() -> None:
    with pytest.raises(NotFoundError) as refused:
        folder_by_id(JOBS, CALLERS["administrator"], "j" * 100_000)
    assert len(str(refused.value)) < 300

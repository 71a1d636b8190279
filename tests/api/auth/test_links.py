"""Signed links: each grants one download until it expires, and nothing else."""

from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.caller import Caller
from api.auth.links import LinkSigner
from api.errors import NotAuthenticated
from api.files.target import DownloadTarget

KEY = b"k" * 32
ALICE = Caller("1", "alice", ["Team_A", "other"], is_admin=True)
TARGET = DownloadTarget("team-a", "job-1", "d/naïve #1 100%.txt")
MESSAGE = "this link is invalid or has expired; open the job's page for a new one"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def refused(signer: LinkSigner, target: DownloadTarget, query: dict[str, str]) -> bool:
    try:
        signer.verify(target, query)
    except NotAuthenticated as error:
        return str(error) == MESSAGE
    return False


def test_link_grants_its_signer_access_to_the_group_only() -> None:
    signer = LinkSigner(KEY, 300, Clock())
    url = signer.sign(ALICE, TARGET)
    assert url.isascii()
    assert unquote(urlsplit(url).path) == "/api/files/groups/team-a/jobArtifacts/job-1/d/naïve #1 100%.txt"
    caller = signer.verify(TARGET, query_of(url))
    assert caller == Caller("alice", "alice", ("team-a",))
    assert not caller.can_see("other")


def test_link_expires() -> None:
    clock = Clock()
    signer = LinkSigner(KEY, 300, clock)
    query = query_of(signer.sign(ALICE, TARGET))
    clock.now += 299
    assert not refused(signer, TARGET, query)
    clock.now += 1
    assert refused(signer, TARGET, query)


def test_link_is_valid_only_with_the_same_key() -> None:
    query = query_of(LinkSigner(KEY, 300, Clock()).sign(ALICE, TARGET))
    assert not refused(LinkSigner(KEY, 10, Clock()), TARGET, query)
    assert refused(LinkSigner(b"x" * 32, 300, Clock()), TARGET, query)
    assert refused(LinkSigner(b"", 300, Clock()), TARGET, query)
    assert refused(LinkSigner(b"", 300, Clock()), TARGET, query_of(LinkSigner(b"", 300, Clock()).sign(ALICE, TARGET)))


@pytest.mark.parametrize(
    "other",
    [
        replace(TARGET, group="team-b"),
        replace(TARGET, group="team_a"),
        replace(TARGET, job="job-10"),
        replace(TARGET, path="d"),
        replace(TARGET, path=""),
        replace(TARGET, archive=True),
        replace(TARGET, download=True),
        replace(TARGET, job="job-1/d", path="naïve #1 100%.txt"),
        replace(TARGET, path=unquote("d/nai%CC%88ve #1 100%.txt")),
    ],
)
def test_link_is_valid_for_its_target_only(other: DownloadTarget) -> None:
    signer = LinkSigner(KEY, 300, Clock())
    assert refused(signer, other, query_of(signer.sign(ALICE, TARGET)))


@given(
    st.dictionaries(
        st.sampled_from(["user", "expires", "key", "signature"]),
        st.text(max_size=80) | st.sampled_from(["root", "9999999999", "1000301", "٣", "1e9", "0" * 64, "\ud800", ""]),
        min_size=1,
    )
)
def test_changed_or_missing_parameters_are_refused_with_one_message(changed: dict[str, str]) -> None:
    signer = LinkSigner(KEY, 300, Clock())
    query = query_of(signer.sign(ALICE, TARGET))
    if {**query, **changed} != query:
        assert refused(signer, TARGET, {**query, **changed})
    for name in changed:
        assert refused(signer, TARGET, {key: text for key, text in query.items() if key != name})


def test_caller_without_a_name_is_identified_by_id() -> None:
    signer = LinkSigner(KEY, 300, Clock())
    assert signer.verify(TARGET, query_of(signer.sign(Caller("7", ""), TARGET))).id == "7"

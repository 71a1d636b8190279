"""The cleanup of stores in any state: it removes exactly the folders that are due."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from api.retention.record import extension_key, pin_key
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.cleanup.environment import DAY, StoreEnvironment, directory_environment

RECORDS = {
    "none": b"",
    "pinned": b'{"version": 1}',
    "extended": b'{"version": 1, "until": 253402300000}',
    "extended once": b'{"version": 1, "until": 1000000000}',
    "unreadable": b"{",
}


@dataclass(frozen=True)
class JobState:
    """The state of one job: its two expiry files, its PhJob and its record."""

    expires_in: float | None
    legacy_in: float | None
    phjob: str
    record: str

    @property
    def is_due(self) -> bool:
        claims = [seconds for seconds in (self.expires_in, self.legacy_in) if seconds is not None]
        if self.phjob in ("running", "collecting") or self.record in ("pinned", "extended", "unreadable"):
            return False
        if any(seconds > 0 for seconds in claims):
            return False
        return bool(claims) or self.record == "extended once"


states = st.builds(
    JobState,
    st.sampled_from([None, -DAY, -1.0, DAY]),
    st.sampled_from([None, -DAY, DAY]),
    st.sampled_from(["gone", "ended", "running", "collecting", "of another group"]),
    st.sampled_from(list(RECORDS)),
)
folders = st.sampled_from([(group, job) for group in ("a", "a-b", "b") for job in ("job-1", "job-10", "job-2")])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(folders, states, max_size=6))
def test_exactly_the_due_folders_are_removed(stored: dict[tuple[str, str], JobState]) -> None:
    with tempfile.TemporaryDirectory() as root:
        env = directory_environment(Path(root) / "phfs")
        effective = {folder: add_job(env, *folder, state) for folder, state in stored.items()}
        before = contents(env)
        cleaned = env.cleaner.clean(None, force=True)
        due = {f"{group}/{job}" for (group, job), state in effective.items() if state.is_due}
        assert cleaned.removed == len(due)
        assert env.remaining_jobs() == sorted({f"{group}/{job}" for group, job in stored} - due)
        prefixes = tuple("groups/{}/jobArtifacts/{}/".format(*folder.split("/")) for folder in due)
        assert contents(env) == {
            key: content for key, content in before.items() if not key.startswith(prefixes or ("-",))
        }


def add_job(env: StoreEnvironment, group: str, job: str, state: JobState) -> JobState:
    """Add the job. Returns its effective state: a name belongs to one PhJob, the first."""
    env.add_folder(job, group, state.expires_in, state.legacy_in, {"x": b"x"})
    if RECORDS[state.record]:
        key = extension_key if state.record.startswith("extended") else pin_key
        env.store.write(key(group, job), RECORDS[state.record])
    if job in env.jobs.phjobs or state.phjob == "gone":
        return JobState(state.expires_in, state.legacy_in, "gone", state.record)
    owner = "other" if state.phjob == "of another group" else group.upper().replace("-", "_")
    env.add_phjob(job, owner, "Running" if state.phjob == "running" else "Failed")
    if state.phjob == "collecting":
        env.jobs.collecting.add(job)
    return state


def contents(env: StoreEnvironment) -> dict[str, bytes]:
    """Return all files below groups/ except the expiry files, which the cleanup updates from the records."""
    keys = [key for key in env.list_keys() if not key.endswith((EXPIRED_AT, LEGACY_EXPIRED_AT))]
    return {key: env.store.read(key, 1000) for key in keys}

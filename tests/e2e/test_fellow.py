"""A fellow webhook changes pods after the product's: every job ends, and is collected or truthfully reported."""

from collections.abc import Iterator

import pytest

from tests.e2e.fellow_webhook import fellow_webhook
from tests.e2e.pauses import paused, resume
from tests.e2e.system import SIDECAR, System
from tests.fellow_changes import DAMAGE

# A file that only its owner can read.
WRITE_FILE = "mkdir artifacts; umask 077; echo kept > artifacts/f"
FILES = {"f": "kept\n"}
BLOCKING = "drop-restart-policy-and-lifecycle"
COLLECTED, CHANGED, REFUSED, NO_START = (
    ("sealed", None),
    *(("not-injected", r) for r in ("changed", "refused", "start")),
)
# The outcomes if the fellow has the last word. Without an entry: collected.
LAST_WORD = {
    "drop-restart-policy": REFUSED,
    "drop-restart-policy-and-lifecycle": CHANGED,
    "change-restart-policy": REFUSED,
    "drop-volume": REFUSED,
    "change-volume": REFUSED,  # the namespace's Pod Security level forbids hostPath
    "change-security-context": ("incomplete", None),  # without its user and DAC_OVERRIDE it cannot read the file
    "drop-sidecar": CHANGED,
    "drop-init-containers": CHANGED,
    "drop-everything-but-the-volume": CHANGED,
    "move-to-containers": CHANGED,
    "change-image": NO_START,
    "change-command": NO_START,
    "add-startup-probe": NO_START,
}
# The fellow breaks the sidecar's work, which the sidecar reports itself, if it can.
UNPREDICTABLE = ("drop-mounts", "add-arguments", "change-variables")


@pytest.fixture(scope="module")
def fellow(system: System) -> Iterator[None]:
    """The fellow webhook in the product's namespace."""
    with fellow_webhook(system):
        yield
    resume(system)


def outcome(status: dict[str, dict[str, str]]) -> tuple[str, str | None]:
    """Return the state and the reason."""
    return status["artifact"]["state"], status["artifact"].get("reason")


@pytest.mark.usefixtures("fellow")
def test_the_webhook_repairs_its_sidecar(system: System) -> None:
    before = system.metrics("webhook")['phjob_artifact_webhook_requests_total{outcome="repaired"}']
    names = [system.create_job(f"fellow-{change}-once", WRITE_FILE) for change in DAMAGE]
    statuses = system.wait_all_ended(names)
    outcomes = {name: (status["phase"], *outcome(status)) for name, status in statuses.items()}
    assert outcomes == dict.fromkeys(names, ("Succeeded", *COLLECTED))
    for name in names:
        assert system.store.files(name) == FILES, name
    pods = system.pods()
    for name in names:
        first = pods[name]["spec"]["initContainers"][0]
        assert (first["name"], first["restartPolicy"]) == (SIDECAR, "Always"), name
    assert system.metrics("webhook")['phjob_artifact_webhook_requests_total{outcome="repaired"}'] >= before + 20


@pytest.mark.usefixtures("fellow")
def test_the_webhook_withdraws_its_sidecar(system: System) -> None:
    status = system.wait_ended(system.create_job("fellow-unmount-phfs-once", WRITE_FILE))
    assert (status["phase"], *outcome(status)) == ("Succeeded", "not-injected", "no-phfs")
    assert "/phfs" in system.events("fellow-unmount-phfs-once")["ArtifactsNotCollected"]
    assert SIDECAR not in str(system.pods()["fellow-unmount-phfs-once"]["spec"])


def run_with_last_word(system: System, changes: list[str]) -> dict[str, tuple[str, str, str | None]]:
    """Run a job for each change, which the fellow makes twice. Returns phase, state and reason by change."""
    names = {
        change: system.create_job(f"fellow-{change}-again", WRITE_FILE, userName=f"user-{number}")
        for number, change in enumerate(changes)
    }
    statuses = system.wait_all_ended(list(names.values()))
    for change, name in names.items():
        is_collected = outcome(statuses[name]) == COLLECTED
        if is_collected and change not in UNPREDICTABLE:
            assert system.store.files(name) == FILES, change
        if statuses[name]["artifact"]["state"] == "not-injected":
            assert "ArtifactsNotCollected" in system.events(name), change
    return {change: (statuses[name]["phase"], *outcome(statuses[name])) for change, name in names.items()}


@pytest.mark.usefixtures("fellow")
def test_jobs_end_if_the_fellow_has_the_last_word(system: System) -> None:
    changes = [change for change in DAMAGE if LAST_WORD.get(change) not in (CHANGED, NO_START)]
    outcomes = run_with_last_word(system, changes)
    expected = {change: ("Succeeded", *LAST_WORD.get(change, COLLECTED)) for change in changes}
    for change in UNPREDICTABLE:
        assert outcomes.pop(change)[0] == expected.pop(change)[0]
    assert outcomes == expected


@pytest.mark.usefixtures("fellow")
def test_pods_are_recreated_without_sidecars_that_do_not_start(system: System) -> None:
    resume(system)
    changes = [change for change in DAMAGE if LAST_WORD.get(change) == NO_START]
    assert run_with_last_word(system, changes) == dict.fromkeys(changes, ("Succeeded", *NO_START))


@pytest.mark.usefixtures("fellow")
def test_changes_that_remove_the_sidecar_or_block_main_are_reported_at_once(system: System) -> None:
    resume(system)
    changes = [change for change in DAMAGE if LAST_WORD.get(change) == CHANGED]
    assert run_with_last_word(system, changes) == dict.fromkeys(changes, ("Succeeded", *CHANGED))


@pytest.mark.usefixtures("fellow")
def test_sidecars_that_block_main_pause_injection(system: System) -> None:
    resume(system)
    names = [f"fellow-{BLOCKING}-again.{number}" for number in range(3)]
    for number, name in enumerate(names):
        system.create_job(name, WRITE_FILE, userName=f"user-{number}")
    for name, status in system.wait_all_ended(names).items():
        assert (status["phase"], *outcome(status)) == ("Succeeded", *CHANGED), name
    system.wait(lambda: paused(system) == ["all"], "the pause")
    assert any("CollectorSwitchedOff" in system.events(name) for name in names)

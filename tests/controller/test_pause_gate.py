"""The webhook injects no pod during a pause, and single pods after it."""

from typing import Any

from controller.inject.injection import OUTCOMES
from controller.injection_pauses import ALL, MAX_ENTRIES, Pause, Pauses
from controller.pause_gate import PROBE_SECONDS, PauseGate
from tests.controller.pod_samples import NEW, injected, make_pod
from tests.controller.test_webhook import Webhook, patch_in

ANN, BOB = "user.ann", "user.bob"
NOW = 1_800_000_000.0


class Gate:
    def __init__(self, **pauses: Pause) -> None:
        self.now = NOW
        self.pauses: Pauses = {key if key == ALL else f"user.{key}": pause for key, pause in pauses.items()}
        self.gate = PauseGate(lambda: self.pauses, lambda: self.now)

    def injects(self, *owners: str) -> list[bool]:
        return [self.gate.may_inject(owner) for owner in owners]


PAUSE = Pause(NOW - 10, NOW + 900, 1)


def test_without_a_pause_all_pods_are_injected() -> None:
    assert Gate().injects(ANN, ANN, BOB) == [True] * 3


def test_a_pause_holds_for_its_owner_or_for_all() -> None:
    assert Gate(ann=PAUSE).injects(ANN, BOB) == [False, True]
    assert Gate(all=PAUSE).injects(ANN, BOB) == [False, False]


def test_after_a_pause_each_owner_gets_single_probes() -> None:
    gate = Gate(all=PAUSE)
    gate.now = PAUSE.until
    assert gate.injects(ANN, ANN, BOB, ANN, BOB) == [True, False, True, False, False]
    gate.now += PROBE_SECONDS
    assert gate.injects(ANN, ANN) == [True, False]
    gate.pauses = {}
    assert gate.injects(ANN, ANN) == [True, True]


def test_probes_of_many_owners_take_bounded_memory() -> None:
    gate = Gate(all=PAUSE)
    gate.now = PAUSE.until
    assert all(gate.injects(*(f"user.{number}" for number in range(3 * MAX_ENTRIES))))
    assert len(gate.gate._probed_at) == MAX_ENTRIES


def test_a_paused_pod_gets_the_reason() -> None:
    seen = []

    def may_inject(owner: str) -> bool:
        seen.append(owner)
        return False

    hook = Webhook(may_inject=may_inject)
    pod: dict[str, Any] = make_pod()
    pod["metadata"]["labels"]["primehub.io/user"] = "escaped-ann"
    response = hook.send(pod)
    assert patch_in(response) == [
        {"op": "add", "path": "/metadata/annotations", "value": {"primehub.io/artifact-sidecar": "paused"}}
    ]
    assert OUTCOMES["paused"] in response["warnings"][0]
    assert hook.counted("paused") == 1
    assert seen == ["user.escaped-ann"]


def test_a_pod_that_is_injected_already_keeps_its_sidecar() -> None:
    hook = Webhook(cluster=lambda: NEW, may_inject=lambda _: False)
    assert "patch" not in hook.send(injected(make_pod()))
    assert hook.counted("already-injected") == 1

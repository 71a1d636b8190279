"""The record of paused injection: a ConfigMap that the controller's leader writes and the webhook reads. Pure.

Each entry pauses injection for the pods of one owner, or of all. After its time, injection is on probation: single pods
get the sidecar, until one works and the leader removes the entry, or others fail and the leader extends it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.documents import format_time, integer_field, mapping_field, text_field, time_field
from controller.inject.pod import GROUP_LABEL, USER_LABEL

CONFIG_MAP = "phjob-artifacts-pauses"
# Set by an administrator: pauses and failures before this time (RFC 3339) do not count.
RESUMED_AT_ANNOTATION = "primehub.io/artifact-injection-resumed-at"
ALL = "all"  # the entry for all pods; the others begin with OWNER
OWNER = "user."
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 900.0, 86400.0
_MAX_SKEW_SECONDS = 3600.0  # between the clocks of the leader and of the reader
_KEPT_SECONDS = 7 * 86400.0  # on probation without any pod
MAX_ENTRIES = 256


@dataclass(frozen=True)
class Pause:
    """Injection is paused from `since` to `until` (UNIX seconds). `count`: pauses without a working sidecar between."""

    since: float
    until: float
    count: int

    def is_active(self, now: float) -> bool:
        """Whether no pod gets a sidecar; after that, injection is on probation.

        A time that no leader with a correct clock can have written is not believed.
        """
        return now < self.until <= now + MAX_PAUSE_SECONDS + _MAX_SKEW_SECONDS


Pauses = Mapping[str, Pause]


def pod_owner(metadata: Mapping[str, Any]) -> str:
    """Return the key of the pod's owner: its user, or its group if it has no user.

    Labels, because the webhook and the controller both see them. PrimeHub and the API set them from the caller's
    identity; a user who may create pods or PhJobs by themselves can set any.
    """
    labels = mapping_field(metadata, "labels")
    return OWNER + (text_field(labels, USER_LABEL, 63) or text_field(labels, GROUP_LABEL, 63))


def next_pause(before: Pause | None, now: float) -> Pause:
    """Return the pause that follows `before`, twice as long."""
    count = min(before.count if before else 0, 30) + 1
    return Pause(now, now + min(FIRST_PAUSE_SECONDS * 2 ** (count - 1), MAX_PAUSE_SECONDS), count)


def read_pauses(config_map: Mapping[str, Any]) -> dict[str, Pause]:
    """Return the entries of the ConfigMap that began after the last resumption. Malformed ones are left out."""
    data, resumed_at = mapping_field(config_map, "data"), read_resumed_at(config_map)
    pauses = {key: _parse(text) for key, text in data.items() if isinstance(text, str) and len(text) < 1024}
    return {key: pause for key, pause in pauses.items() if pause is not None and pause.since > resumed_at}


def read_resumed_at(config_map: Mapping[str, Any]) -> float:
    """Return when an administrator last resumed injection in UNIX seconds, or 0."""
    annotations = mapping_field(mapping_field(config_map, "metadata"), "annotations")
    return time_field(annotations, RESUMED_AT_ANNOTATION) or 0.0


def format_pauses(pauses: Pauses, now: float) -> dict[str, str]:
    """Return the ConfigMap's data: the newest entries that are not forgotten yet."""
    kept = [item for item in pauses.items() if now < item[1].until + _KEPT_SECONDS]
    kept.sort(key=lambda item: (item[0] != ALL, -item[1].since))
    return {
        key: json.dumps({"since": format_time(p.since), "until": format_time(p.until), "count": p.count})
        for key, p in sorted(kept[:MAX_ENTRIES])
    }


def _parse(text: str) -> Pause | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    since, until, count = time_field(document, "since"), time_field(document, "until"), integer_field(document, "count")
    return None if since is None or until is None or not count else Pause(since, until, count)

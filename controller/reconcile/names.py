"""The names that a PhJob and its pod carry, beside those that injection has."""

from artifacts.annotation import EXPIRY_ANNOTATION
from artifacts.names import group_path
from controller.inject.pod import ANNOTATION, ORIGINAL_GRACE, OUTCOME, RESULT

API_VERSION, KIND = "primehub.io/v1alpha1", "PhJob"
GROUP_LABEL, USER_LABEL = "primehub.io/group", "primehub.io/user"

ENABLED = ANNOTATION + "enabled"
# On a pod that was made without the sidecar on purpose: why ("quota", "refused", "start").
WITHOUT = "primehub.io/without-artifact-sidecar"
# On the namespace: "off" keeps the API server from asking the webhook.
INJECTION_LABEL, INJECTION_OFF = "primehub.io/artifact-injection", "off"
# On it too, and left there: when the label was set last by the controller, as RFC 3339.
SWITCHED_OFF_AT = "primehub.io/artifact-injection-switched-off-at"

_NOT_FOR_PODS = (EXPIRY_ANNOTATION, RESULT, OUTCOME, ORIGINAL_GRACE, WITHOUT)
_MOST_LABEL = 63


def pod_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """What of a PhJob's annotations its pod gets: the product's own, without what is noted about the PhJob."""
    return {
        name: value
        for name, value in annotations.items()
        if name.startswith("primehub.io/") and name not in _NOT_FOR_PODS
    }


def label(value: str) -> str:
    """As PrimeHub escapes what becomes a label: all but lower-case letters and digits as -XX."""
    escaped = "".join(
        char if char.isascii() and (char.islower() or char.isdigit()) else "".join(f"-{b:02x}" for b in char.encode())
        for char in value
    )
    return ("escaped-" + escaped)[:_MOST_LABEL].rstrip("-")


def sub_path(group: str) -> str:
    """The group's part of PHFS. Raises InvalidName."""
    return f"groups/{group_path(group)}"

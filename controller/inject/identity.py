"""Who the sidecar runs as: someone who can read what main left, and may do nothing else."""

from collections.abc import Mapping
from typing import Any

from controller.inject.pod import Document, mapping


def security_context(spec: Mapping[str, Any], main: Mapping[str, Any], nonroot_uid: int) -> Document:
    """The sidecar's `securityContext`: main's own user, without a capability; root beside root or an unknown user.

    As root it has DAC_OVERRIDE alone, which the baseline Pod Security level allows; the other cases meet the
    restricted one. What main's container does not say, its pod does.
    """
    uid, gid = (_effective(spec, main, field) for field in ("runAsUser", "runAsGroup"))
    must_not_be_root = bool(_effective(spec, main, "runAsNonRoot"))
    context: Document = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"]},
    }
    if uid or must_not_be_root:
        context |= {"runAsUser": uid or nonroot_uid, "runAsNonRoot": True}
        return context if gid is None else context | {"runAsGroup": gid}
    context["capabilities"]["add"] = ["DAC_OVERRIDE"]
    return context | {"runAsUser": 0, "runAsGroup": gid or 0, "runAsNonRoot": False}


def _effective(spec: Mapping[str, Any], main: Mapping[str, Any], field: str) -> Any:
    own = mapping(main, "securityContext").get(field)
    return mapping(spec, "securityContext").get(field) if own is None else own

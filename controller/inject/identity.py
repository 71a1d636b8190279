"""The user and privileges of the sidecar: it can read main's files and has no other rights."""

from collections.abc import Mapping
from typing import Any

from controller.inject.pod import Document, get_list, get_mapping


def security_context(spec: Mapping[str, Any], main: Mapping[str, Any], nonroot_uid: int) -> Document:
    """Return the sidecar's `securityContext`: main's user without capabilities, or root if main is or may be root.

    As root the sidecar has only DAC_OVERRIDE, which the baseline Pod Security level allows; otherwise it meets the
    restricted level. A field that main's container does not set is taken from the pod.
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


def main_ids(spec: Mapping[str, Any], main: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return main's user ID and group ID; None if only the image sets them.

    If main runs as root but drops DAC_OVERRIDE, it cannot read all files. The user ID is None then, because 0 would let
    the sidecar publish every file.
    """
    uid, gid = (_effective(spec, main, field) for field in ("runAsUser", "runAsGroup"))
    return None if uid == 0 and not _can_override_modes(main) else uid, gid


def _can_override_modes(main: Mapping[str, Any]) -> bool:
    context = get_mapping(main, "securityContext")
    capabilities = get_mapping(context, "capabilities")
    added, dropped = (
        {str(name).upper().removeprefix("CAP_") for name in get_list(capabilities, field)} for field in ("add", "drop")
    )
    own = {"ALL", "DAC_OVERRIDE"}
    return bool(context.get("privileged") or added & own or not dropped & own)


def _effective(spec: Mapping[str, Any], main: Mapping[str, Any], field: str) -> Any:
    own = get_mapping(main, "securityContext").get(field)
    return get_mapping(spec, "securityContext").get(field) if own is None else own

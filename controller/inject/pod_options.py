"""Options that a pod sets for its sidecar, by annotations or main's environment, within the administrator's limits.

Users write both, so no value may result in a pod that the API server refuses or that cannot start. Invalid values are
ignored with a warning.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from artifacts.environment import Setting
from artifacts.errors import ArtifactError
from artifacts.job_options import ANNOTATION_PREFIX, OPTIONS, option_annotation
from artifacts.names import check_job_name
from artifacts.settings import SETTINGS_TABLE
from controller.inject.pod import (
    ORIGINAL_GRACE_ANNOTATION,
    OUTCOME_ANNOTATION,
    RESULT_ANNOTATION,
    Document,
    get_list,
    get_mapping,
)
from controller.settings import WebhookSettings

SIDECAR_ROWS = {row.field: row for row in SETTINGS_TABLE}
_LIMITED_OPTIONS = ("limit_size_mb", "limit_files", "retention_seconds", "grace_seconds")
_ALWAYS_SET = ("limit_size_mb", "limit_files", "over_limit", "retention_seconds")
_OTHER_ANNOTATIONS = (
    OUTCOME_ANNOTATION,
    ORIGINAL_GRACE_ANNOTATION,
    EXPIRY_ANNOTATION,
    MISSING_ANNOTATION,
    RESULT_ANNOTATION,
)
# The rates at which the sidecar expects a FUSE mount to write back. Files are copied, and then written back.
_FILES_PER_SECOND, _MB_PER_SECOND = 100, 20
_SPARE_SECONDS = 30  # for the last scan, retries and the seal
_DEFAULT_GRACE_SECONDS = 30  # Kubernetes' default for terminationGracePeriodSeconds


@dataclass(frozen=True)
class SidecarOptions:
    """The sidecar's options for one pod. `variables` are its environment.

    `job` is None if the pod has no name yet: the API server will generate it.
    """

    enabled: bool
    job: str | None
    grace_seconds: int
    original_grace_seconds: int
    variables: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def read_pod_options(pod: Mapping[str, Any], main: Mapping[str, Any], settings: WebhookSettings) -> SidecarOptions:
    """Return a pod's options. Annotations take precedence over main's environment, then come the defaults."""
    annotations = get_mapping(get_mapping(pod, "metadata"), "annotations")
    environ = _main_environ(main)
    names = ", ".join(sorted(name.replace("_", "-") for name in OPTIONS))
    warnings = [
        f"unknown annotation {name[:80]!a}: the names after {ANNOTATION_PREFIX} are {names}"
        for name in annotations
        if name.startswith(ANNOTATION_PREFIX) and name not in {*_OTHER_ANNOTATIONS, *map(option_annotation, OPTIONS)}
    ]
    values: dict[str, Any] = {}
    for name in sorted(OPTIONS, key=lambda name: name == "grace_seconds"):  # last, because it depends on the limits
        row = SIDECAR_ROWS[name]
        sources = [("annotation", option_annotation(name), annotations.get(option_annotation(name)))]
        sources.append(("variable", row.env, environ.get(row.env)))
        default = _default_value(row, values, settings)
        values[name] = _first_valid(row, sources, default, settings, warnings)
    original = get_mapping(pod, "spec").get("terminationGracePeriodSeconds")
    original = _DEFAULT_GRACE_SECONDS if original is None else original
    return SidecarOptions(
        enabled=values["enabled"],
        job=_job_name(pod, environ, warnings),
        grace_seconds=max(original, math.ceil(values["grace_seconds"])),
        original_grace_seconds=original,
        variables=_variables(values, settings),
        warnings=warnings,
    )


def _main_environ(main: Mapping[str, Any]) -> dict[str, Any]:
    """Return main's variables; None for values that only the kubelet can compute. The last of equal names wins."""
    return {variable.get("name", ""): _plain_value(variable) for variable in get_list(main, "env")}


def _plain_value(variable: Document) -> str | None:
    value = variable.get("value") or ""
    return None if variable.get("valueFrom") or "$" in value else value


def _first_valid(
    row: Setting,
    sources: list[tuple[str, str, str | None]],
    default: Any,
    settings: WebhookSettings,
    warnings: list[str],
) -> Any:
    for kind, name, text in sources:
        if text is None:
            continue
        try:
            return _limited(row, _parse(row, text), settings, f"{kind} {name}", warnings)
        except (ValueError, ArtifactError) as error:
            warnings.append(f"{kind} {name}={text[:40]!a} is ignored: {error}")
    return _limited(row, default, settings, "", [])


def _default_value(row: Setting, values: Mapping[str, Any], settings: WebhookSettings) -> Any:
    """Return the administrator's value. The grace period suffices for as many files and bytes as the limits allow."""
    if row.field != "grace_seconds":
        return row.parse(settings.defaults.get(row.env, row.default or ""))
    copy_seconds = values["limit_files"] / _FILES_PER_SECOND + values["limit_size_mb"] / _MB_PER_SECOND
    return max(settings.grace_seconds, math.ceil(2 * copy_seconds) + _SPARE_SECONDS)


def _parse(row: Setting, text: str) -> Any:
    if not text.replace("\n", "").isprintable():
        raise ValueError("it contains control characters")
    return row.parse(text.strip())


def _limited(row: Setting, value: Any, settings: WebhookSettings, source: str, warnings: list[str]) -> Any:
    if row.field not in _LIMITED_OPTIONS:
        return value
    limit = getattr(settings, f"max_{row.field}")
    if value > limit:
        warnings.append(f"{source} exceeds the administrator's maximum, so {limit} is used")
    return min(value, limit)


def _job_name(pod: Mapping[str, Any], environ: Mapping[str, Any], warnings: list[str]) -> str | None:
    for name in (environ.get("PHJOB_NAME"), get_mapping(pod, "metadata").get("name")):
        if not name:
            continue
        try:
            return check_job_name(name)
        except ArtifactError as error:
            warnings.append(f"variable PHJOB_NAME is ignored: {str(error)!a}")
    return None


def _variables(values: Mapping[str, Any], settings: WebhookSettings) -> dict[str, str]:
    variables = {name: text for name, text in settings.defaults.items() if name != SIDECAR_ROWS["enabled"].env}
    for name in OPTIONS.keys() - {"enabled", "grace_seconds"}:
        value, row = values[name], SIDECAR_ROWS[name]
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        if name in _ALWAYS_SET or text != row.default:
            variables[row.env] = text
        else:
            variables.pop(row.env, None)
    return variables

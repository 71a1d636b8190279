"""What a pod asks of its collector, by annotations and by main's environment, within the administrator's bounds.

Users write both, so nothing in them may make the pod one that the API server refuses or that cannot start: what
cannot be used is ignored, with a warning.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION
from artifacts.environment import Setting
from artifacts.errors import ArtifactError
from artifacts.names import check_job_name
from artifacts.settings import SETTINGS_TABLE
from controller.inject.pod import ANNOTATION, ORIGINAL_GRACE, OUTCOME, RESULT, Document, items, mapping
from controller.settings import Settings

# What a pod may decide. `grace_seconds` is the pod's too, the others are the sidecar's alone.
_WISHES = {
    *("enabled", "limit_size_mb", "limit_files", "over_limit", "retention_seconds", "include", "exclude", "digest"),
    "grace_seconds",
}
_BOUNDED = ("limit_size_mb", "limit_files", "retention_seconds", "grace_seconds")
_ALWAYS_TOLD = ("limit_size_mb", "limit_files", "over_limit", "retention_seconds")
ROWS = {row.field: row for row in SETTINGS_TABLE}
_NOTES = (OUTCOME, ORIGINAL_GRACE, EXPIRY_ANNOTATION, RESULT)
_LEAST_GRACE = 30  # Kubernetes' own, where a pod does not say


@dataclass(frozen=True)
class Wishes:
    """`variables` are what the sidecar is told, by name. `job` is None where only the API server will know it."""

    enabled: bool
    job: str | None
    grace_seconds: int
    original_grace_seconds: int
    variables: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def read_wishes(pod: Mapping[str, Any], main: Mapping[str, Any], settings: Settings) -> Wishes:
    """The pod's own word goes before main's environment, that before the administrator's default."""
    annotations = mapping(mapping(pod, "metadata"), "annotations")
    environ = _environ(main)
    known = ", ".join(sorted(name.replace("_", "-") for name in _WISHES))
    warnings = [
        f"annotation {name[:80]!a} means nothing here; after {ANNOTATION} may come {known}"
        for name in annotations
        if name.startswith(ANNOTATION) and name not in {*_NOTES, *map(_annotation, _WISHES)}
    ]
    values: dict[str, Any] = {}
    for name in sorted(_WISHES):
        row = ROWS[name]
        told = [("annotation", _annotation(name), annotations.get(_annotation(name)))]
        told.append(("variable", row.env, environ.get(row.env)))
        values[name] = _first_usable(row, told, settings, warnings)
    original = mapping(pod, "spec").get("terminationGracePeriodSeconds")
    original = _LEAST_GRACE if original is None else original
    return Wishes(
        enabled=values["enabled"],
        job=_job(pod, environ, warnings),
        grace_seconds=max(original, math.ceil(values["grace_seconds"])),
        original_grace_seconds=original,
        variables=_variables(values, settings),
        warnings=warnings,
    )


def _annotation(name: str) -> str:
    return ANNOTATION + name.replace("_", "-")


def _environ(main: Mapping[str, Any]) -> dict[str, Any]:
    """Main's variables; None for what only the kubelet can tell. Of two of one name the later one holds."""
    return {each.get("name", ""): _plain(each) for each in items(main, "env")}


def _plain(variable: Document) -> str | None:
    value = variable.get("value") or ""
    return None if variable.get("valueFrom") or "$" in value else value


def _first_usable(
    row: Setting, told: list[tuple[str, str, str | None]], settings: Settings, warnings: list[str]
) -> Any:
    for kind, name, text in told:
        if text is None:
            continue
        try:
            return _bounded(row, _parse(row, text), settings, f"{kind} {name}", warnings)
        except (ValueError, ArtifactError) as error:
            warnings.append(f"{kind} {name}={text[:40]!a} is ignored: {error}")
    default = settings.defaults.get(row.env, row.default or "")
    value = settings.grace_seconds if row.field == "grace_seconds" else row.parse(default)
    return _bounded(row, value, settings, "", [])


def _parse(row: Setting, text: str) -> Any:
    if not text.replace("\n", "").isprintable():
        raise ValueError("it has control characters")
    return row.parse(text.strip())


def _bounded(row: Setting, value: Any, settings: Settings, whose: str, warnings: list[str]) -> Any:
    if row.field not in _BOUNDED:
        return value
    bound = getattr(settings, f"max_{row.field}")
    if value > bound:
        warnings.append(f"{whose} is more than the administrator allows: {bound} is used")
    return min(value, bound)


def _job(pod: Mapping[str, Any], environ: Mapping[str, Any], warnings: list[str]) -> str | None:
    for name in (environ.get("PHJOB_NAME"), mapping(pod, "metadata").get("name")):
        if not name:
            continue
        try:
            return check_job_name(name)
        except ArtifactError as error:
            warnings.append(f"variable PHJOB_NAME is ignored: {str(error)!a}")
    return None


def _variables(values: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    variables = {name: text for name, text in settings.defaults.items() if name != ROWS["enabled"].env}
    for name in _WISHES - {"enabled", "grace_seconds"}:
        value, row = values[name], ROWS[name]
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        if name in _ALWAYS_TOLD or text != row.default:
            variables[row.env] = text
        else:
            variables.pop(row.env, None)
    return variables

"""Options that a job sets for its collector by annotations of the PhJob, or of the pod (docs/contract.md).

Users write the annotations, so values are validated with the settings' own parsers.
"""

from collections.abc import Mapping

from artifacts.environment import Setting
from artifacts.errors import ArtifactError
from artifacts.settings import SETTINGS_TABLE

ANNOTATION_PREFIX = "primehub.io/artifact-"

# `grace_seconds` applies to the pod too, the others only to the sidecar.
_FIELDS = (
    *("enabled", "limit_size_mb", "limit_files", "over_limit", "retention_seconds", "include", "exclude", "links"),
    *("digest", "grace_seconds"),
)
OPTIONS: dict[str, Setting] = {field: row for field in _FIELDS for row in SETTINGS_TABLE if row.field == field}
_MAX_CHARACTERS = 32 * 1024  # more than the longest list of globs


def option_annotation(field: str) -> str:
    """Return the annotation of an option, which is named by its field in SidecarSettings."""
    return ANNOTATION_PREFIX + field.replace("_", "-")


_ANNOTATIONS = tuple(map(option_annotation, OPTIONS))


def select_options(annotations: Mapping[str, object]) -> dict[str, str]:
    """Return the annotations that are options, whatever their values."""
    texts = ((name, annotations[name]) for name in _ANNOTATIONS if name in annotations)
    return {name: text for name, text in texts if isinstance(text, str) and len(text) <= _MAX_CHARACTERS}


def read_options(annotations: Mapping[str, object]) -> dict[str, str]:
    """Return the collector's environment variables from annotations. Invalid values are ignored, as by the webhook."""
    environ = {}
    for field, row in OPTIONS.items():
        text = annotations.get(option_annotation(field))
        if isinstance(text, str) and text.replace("\n", "").isprintable():
            try:
                row.parse(text.strip())
            except (ValueError, ArtifactError):
                continue
            environ[row.env] = text
    return environ

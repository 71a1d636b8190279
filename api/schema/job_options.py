"""The fields of PhJobCreateInput that set options of the job's collector. Pure.

They become annotations of the PhJob, which the webhook reads.
"""

from collections.abc import Mapping
from typing import Any

from graphene.utils.str_converters import to_camel_case

from api.errors import BadInput
from artifacts.errors import ArtifactError
from artifacts.job_options import OPTIONS, option_annotation

FIELD_PREFIX = "artifact_"  # of the input's fields; the rest is the option's name


def parse_job_options(data: Mapping[str, Any], max_retention_seconds: int) -> tuple[tuple[str, str], ...]:
    """Return the annotations, names and values, for the fields that are set. Raises BadInput."""
    annotations = []
    for name in OPTIONS:
        value = data.get(FIELD_PREFIX + name)
        if value is None or value == []:
            continue
        field = to_camel_case(FIELD_PREFIX + name)
        text = _join(field, value) if isinstance(value, list) else str(value)
        annotations.append((option_annotation(name), text))
        try:
            OPTIONS[name].parse(text)
        except (ValueError, ArtifactError) as error:
            raise BadInput(f"`{field}` is invalid: {error}; got {text[:80]!r}") from error
        if name == "retention_seconds" and value > max_retention_seconds:
            raise BadInput(f"`{field}` must be at most {max_retention_seconds}, got {value}")
    return tuple(annotations)


def _join(field: str, globs: list[str]) -> str:
    for glob in globs:
        if not glob.strip() or "," in glob or not glob.isprintable():
            raise BadInput(f"`{field}` must have globs without commas and control characters, got {glob[:80]!r}")
    return ",".join(globs)

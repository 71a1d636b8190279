"""createPhJob sets options of the job's collector as the annotations that the webhook reads; a rerun keeps them."""

from typing import Any

import pytest

from api.schema.job_options import FIELD_PREFIX
from api.schema.mutations import PhJobCreateInput
from artifacts.job_options import OPTIONS
from tests.api.schema.graphql_api import Api

CREATE = "mutation ($data: PhJobCreateInput!) { createPhJob(data: $data) { id } }"
JOB = {"groupId": "Team_A", "command": "true", "image": "python"}


def create(api: Api, **options: Any) -> dict[str, str]:
    """Create a job and return its options."""
    name = api.execute(CREATE, data=JOB | options)["createPhJob"]["id"]
    return dict(api.jobs.jobs[name].options)


def test_options_become_annotations_that_a_rerun_keeps(api: Api) -> None:
    options = {
        "artifactLimitSizeMb": 200,
        "artifactLimitFiles": 0,
        "artifactOverLimit": "keep",
        "artifactRetentionSeconds": 3600,
        "artifactInclude": ["*.csv", "plots/**"],
        "artifactExclude": ["*.tmp"],
    }
    expected = {
        "primehub.io/artifact-limit-size-mb": "200",
        "primehub.io/artifact-limit-files": "0",
        "primehub.io/artifact-over-limit": "keep",
        "primehub.io/artifact-retention-seconds": "3600",
        "primehub.io/artifact-include": "*.csv,plots/**",
        "primehub.io/artifact-exclude": "*.tmp",
    }
    assert create(api, **options) == expected
    (name,) = api.jobs.jobs
    rerun = api.execute(f'mutation {{ rerunPhJob(where: {{id: "{name}"}}) {{ id }} }}')["rerunPhJob"]["id"]
    assert rerun != name
    assert dict(api.jobs.jobs[rerun].options) == expected


def test_all_options_are_optional(api: Api) -> None:
    assert create(api) == {}
    assert create(api, artifactInclude=[], artifactExclude=None, artifactLimitFiles=None) == {}


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("artifactLimitFiles", -1, "use a whole number from 0 to 1000000000; got '-1'"),
        ("artifactLimitSizeMb", -1, "use a whole number from 0 to 1099511627776; got '-1'"),
        ("artifactRetentionSeconds", 0, "use a whole number from 1 to 3153600000; got '0'"),
        ("artifactRetentionSeconds", 31536001, "must be at most 31536000, got 31536001"),
        ("artifactOverLimit", "maybe", "use one of: reject, keep; got 'maybe'"),
        ("artifactInclude", ["*.csv", "a,b"], "must have globs without commas and control characters, got 'a,b'"),
        ("artifactInclude", [" "], "must have globs without commas and control characters, got ' '"),
        ("artifactExclude", ["a\nb"], "must have globs without commas and control characters, got 'a\\nb'"),
        ("artifactExclude", ["x" * 257], "use at most 64 globs of at most 256 characters; got '" + "x" * 80 + "'"),
        ("artifactExclude", ["x"] * 65, "use at most 64 globs of at most 256 characters; got '" + "x," * 40 + "'"),
    ],
)
def test_invalid_options_are_refused(api: Api, field: str, value: Any, problem: str) -> None:
    code, message = api.execute_error(CREATE, data=JOB | {field: value})
    assert (code, api.jobs.jobs) == ("BAD_USER_INPUT", {})
    assert message in (f"`{field}` is invalid: {problem}", f"`{field}` {problem}")


def test_every_field_is_an_option() -> None:
    fields = [
        name.removeprefix(FIELD_PREFIX) for name in PhJobCreateInput._meta.fields if name.startswith(FIELD_PREFIX)
    ]
    assert len(fields) == 6
    assert set(fields) <= OPTIONS.keys()

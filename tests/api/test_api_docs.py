"""Compares docs/api.md with the service: every query there, in order, must return the documented response.

Times, signatures and generated names vary, so only their form is compared.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from api.definitions.definition import parse_image, parse_instance_type
from api.jobs.job import format_time
from api.schema.schema import SCHEMA
from api.settings import SETTINGS_TABLE
from artifacts.report import Count, Skipped
from tests.api.schema.graphql_api import DAY, Api
from tests.test_docs import rows

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
EXAMPLE = re.compile(r"```graphql\n(.*?)```\n+```json\n(.*?)```", re.DOTALL)
JOB = "job-202609250153-34s0ti"
UNTIL = "2026-12-31T12:00:00Z"  # in the page; replaced by a future day
# Patterns that vary between runs, and their placeholders.
VARYING = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z": "MILLISECONDS",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "TIME",
    r"job-new-\d+": "NEW",
    r"expires=\d+": "expires=N",
    r"key=[0-9a-f]{8}": "key=K",
    r"signature=[0-9a-f]{64}": "signature=S",
}


def make_world(root: Path) -> Api:
    """Create the jobs and files of the page's examples."""
    api = Api(root)
    cpu = {"displayName": "CPU 1", "limits.cpu": 1, "limits.memory": "2G"}
    image = {"displayName": "Base", "groupName": "Team_A"}
    api.definitions.known_types = [parse_instance_type({"metadata": {"name": "cpu-1"}, "spec": cpu})]
    api.definitions.known_images = [parse_image({"metadata": {"name": "base-notebook"}, "spec": image})]
    files = {"model.bin": b"m" * 2048, "plots/loss.png": b"p" * 512, "plots/naïve.csv": b"a,b\n"}
    skipped = {"outside_volumes": Skipped(1, 0, ["link"], "")}
    api.add_job(JOB, display_name="train", command="python train.py", user_name="alice", image="pytorch")
    api.write_folder(
        JOB,
        files,
        state="incomplete",
        expires_in=6 * DAY,
        message="3 files in the store, 1 missing",
        found=Count(4, 2564),
        skipped=skipped,
    )
    api.add_job("job-running", display_name="train more", phase="Running", finish_time="", command="sleep 60")
    api.write_folder("job-gone", {"result.txt": b"42\n"}, expires_in=-60)
    return api


def replace_varying(text: str) -> str:
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return text


def normalized(document: Any) -> Any:
    return json.loads(replace_varying(json.dumps(document, ensure_ascii=False)))


def test_every_example_returns_the_documented_response(tmp_path: Path) -> None:
    api = make_world(tmp_path / "phfs")
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) >= 15
    for query, documented in examples:
        user = "root" if "# as an administrator" in query else "alice"
        until = format_time(api.clock() + 30 * DAY)
        _, answer = api.post({"query": query.replace(UNTIL, until)}, user)
        for error in answer.get("errors", []):
            error.pop("locations", None)
        assert normalized(answer) == normalized(json.loads(documented)), (
            f"{query}\nreturns\n{json.dumps(answer, indent=2)}"
        )


@pytest.mark.parametrize("root", ["Query", "Mutation"])
def test_every_query_and_mutation_has_an_example(root: str) -> None:
    queries = " ".join(query for query, _ in EXAMPLE.findall(PAGE))
    fields = SCHEMA.graphql_schema.type_map[root].fields
    assert [name for name in fields if not re.search(rf"\b{name}\b", queries)] == []


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    def default(text: str | None) -> str:
        return "required" if text is None else f"`{text}`" if text else "empty"

    expected = {(f"`{row.env}`", default(row.default), row.help) for row in SETTINGS_TABLE if "CLEANUP" not in row.env}
    assert {row for row in rows(PAGE, 3) if row[0].startswith("`PHJOB_")} == expected


def test_every_error_code_is_listed() -> None:
    errors = (Path(__file__).parents[2] / "api/errors.py").read_text()
    codes = set(re.findall(r'code = "([A-Z_]+)"', errors)) | {"INTERNAL_SERVER_ERROR"}
    assert [code for code in codes if f"| `{code}` |" not in PAGE] == []

"""One file of a job, selected by its path."""

from typing import Any

import pytest

from tests.api.schema.graphql_api import DAY, Api

FIELDS = "name size lastModified sha256"


@pytest.fixture
def filled(api: Api) -> Api:
    api.add_job("job-1")
    api.write_folder("job-1", {"a/x.csv": b"1", "b.txt": b"22"})
    return api


def item(api: Api, name: str) -> Any:
    field = f"item(name: $name) {{ {FIELDS} }}"
    query = f'query ($name: String!) {{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {field} }} }} }}'
    return api.execute(query, name=name)["phJob"]["artifact"]["item"]


@pytest.mark.parametrize(
    "name", ["a", "a/", "none", "", "/b.txt", "..", "../job-10/f", ".primehub/metadata/manifest.jsonl", "a\0"]
)
def test_item_is_null_for_other_paths(filled: Api, name: str) -> None:
    filled.write_folder("job-10", {"f": b"1"})
    assert item(filled, name) is None


def test_item_equals_the_listed_node_until_it_expires(filled: Api) -> None:
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ itemsConnection {{ nodes {{ {FIELDS} }} }} }} }} }}'
    node = filled.execute(query)["phJob"]["artifact"]["itemsConnection"]["nodes"][0]
    assert (node["name"], node["sha256"]) == ("a/x.csv", "ab" * 32)
    assert item(filled, "a/x.csv") == node
    filled.clock_offset_seconds = 2 * DAY
    assert item(filled, "a/x.csv") is None

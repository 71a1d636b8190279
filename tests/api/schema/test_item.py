"""One of a job's files in GraphQL, by its path."""

from typing import Any

import pytest

from tests.api.schema.asking import DAY, Api

FIELDS = "name size lastModified sha256"


@pytest.fixture
def filled(api: Api) -> Api:
    api.add("job-1")
    api.fill("job-1", {"a/x.csv": b"1", "b.txt": b"22"})
    return api


def item(api: Api, name: str) -> Any:
    one = f"item(name: $name) {{ {FIELDS} }}"
    query = f'query ($name: String!) {{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {one} }} }} }}'
    return api.ask(query, name=name)["phJob"]["artifact"]["item"]


@pytest.mark.parametrize(
    "name", ["a", "a/", "none", "", "/b.txt", "..", "../job-10/f", ".primehub/metadata/manifest.jsonl", "a\0"]
)
def test_what_is_no_artifact_is_no_item(filled: Api, name: str) -> None:
    filled.fill("job-10", {"f": b"1"})
    assert item(filled, name) is None


def test_one_file_is_told_by_its_path_as_in_the_list_until_it_expires(filled: Api) -> None:
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ itemsConnection {{ nodes {{ {FIELDS} }} }} }} }} }}'
    node = filled.ask(query)["phJob"]["artifact"]["itemsConnection"]["nodes"][0]
    assert (node["name"], node["sha256"]) == ("a/x.csv", "ab" * 32)
    assert item(filled, "a/x.csv") == node
    filled.ahead = 2 * DAY
    assert item(filled, "a/x.csv") is None

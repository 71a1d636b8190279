"""The caller, groups, instance types and images, with the queries of PrimeHub's SDK and console."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from api.auth.caller import Caller
from api.definitions.definition import Toleration, parse_image, parse_instance_type
from api.schema.budget import MAX_DEFINITION_BYTES
from tests.api.schema.graphql_api import CALLERS, Api

SDK_INSTANCE_TYPES = """
query {
  me {
    effectiveGroups {
      name
      instanceTypes {
        name displayName description cpuRequest cpuLimit memoryRequest memoryLimit gpuLimit global
        tolerations { operator key value effect }
        nodeSelector
      }
    }
  }
}
"""
SDK_IMAGES = "{ me { effectiveGroups { name images { id name displayName description useImagePullSecret spec } } } }"
CONSOLE_CURRENT_USER = """
query CurrentUser {
  me {
    id username
    groups {
      ...GroupInfo
      instanceTypes { id name displayName description spec global gpuLimit memoryLimit cpuLimit __typename }
      images {
        id name displayName description groupName isReady url urlForGpu useImagePullSecret spec global type __typename
      }
      __typename
    }
    __typename
  }
}
fragment GroupResourceInfo on Group {
  datasets { id displayName description writable type __typename }
  images { id displayName type description __typename }
  instanceTypes { id displayName description cpuLimit gpuLimit memoryLimit __typename }
  __typename
}
fragment GroupInfo on Group {
  id displayName name admins
  users { id username __typename }
  quotaCpu quotaGpu quotaMemory projectQuotaCpu projectQuotaGpu projectQuotaMemory
  resourceStatus { cpuUsage memUsage gpuUsage __typename }
  enabledDeployment maxDeploy enabledSharedVolume jobDefaultActiveDeadlineSeconds sharedVolumeCapacity launchGroupOnly
  ...GroupResourceInfo
  __typename
}
"""


def resource(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


CPU = parse_instance_type(resource("cpu-1", **{"limits.cpu": 1, "limits.memory": "2G"}))
BASE, OURS, FOREIGN = (
    parse_image(resource("base", url="a/base:1", pullSecret="s")),
    parse_image(resource("ours", groupName="team-a")),
    parse_image(resource("foreign", groupName="b")),
)


@pytest.fixture
def hub(api: Api) -> Api:
    """The API on a cluster with PrimeHub's definitions."""
    api.definitions.known_types, api.definitions.known_images = [CPU], [BASE, OURS, FOREIGN]
    return api


def groups(api: Api, query: str, user: str = "alice", field: str = "effectiveGroups") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.execute(query, user)["me"][field]
    return found


def test_sdk_gets_the_instance_types_of_its_group(hub: Api) -> None:
    shown, other = groups(hub, SDK_INSTANCE_TYPES)
    assert shown == {
        "name": "Team_A",
        "instanceTypes": [
            {
                "name": "cpu-1",
                "displayName": "cpu-1",
                "description": None,
                "cpuRequest": 0.0,
                "cpuLimit": 1.0,
                "memoryRequest": None,
                "memoryLimit": 2.0,
                "gpuLimit": 0,
                "global": None,
                "tolerations": [],
                "nodeSelector": None,
            }
        ],
    }
    assert other["instanceTypes"] == shown["instanceTypes"]


def test_tolerations_are_returned(hub: Api) -> None:
    tolerations = (Toleration("Exists", "gpu"),)
    hub.definitions.known_types = [replace(CPU, tolerations=tolerations, node_selector={"disk": "ssd"})]
    (shown,) = groups(hub, SDK_INSTANCE_TYPES)[0]["instanceTypes"]
    assert shown["tolerations"] == [{"operator": "Exists", "key": "gpu", "value": None, "effect": "None"}]
    assert shown["nodeSelector"] == {"disk": "ssd"}


def test_images_of_other_groups_are_hidden(hub: Api) -> None:
    team, other = groups(hub, SDK_IMAGES)
    assert [image["name"] for image in team["images"]] == ["base", "ours"]
    assert [image["name"] for image in other["images"]] == ["base"]
    assert team["images"][0] == {
        "id": "base", "name": "base", "displayName": "base", "description": None, "useImagePullSecret": "s",
        "spec": {"url": "a/base:1", "pullSecret": "s"},
    }  # fmt: skip
    assert [image["name"] for image in groups(hub, SDK_IMAGES, "bob")[0]["images"]] == ["base", "foreign"]


def test_without_definitions_the_lists_are_empty(api: Api) -> None:
    assert groups(api, SDK_INSTANCE_TYPES)[0] == {"name": "Team_A", "instanceTypes": []}
    assert groups(api, SDK_IMAGES)[0] == {"name": "Team_A", "images": []}


def test_console_gets_the_current_user(hub: Api) -> None:
    me = hub.execute(CONSOLE_CURRENT_USER)["me"]
    assert (me["id"], me["username"], me["__typename"]) == ("1", "alice", "User")
    group = me["groups"][0]
    assert [group[name] for name in ("id", "name", "admins", "users", "datasets")] == ["Team_A", "Team_A", "", [], []]
    assert group["resourceStatus"] == {
        "cpuUsage": None, "memUsage": None, "gpuUsage": None, "__typename": "ResourceStatus",
    }  # fmt: skip
    assert [(image["id"], image["isReady"], image["groupName"]) for image in group["images"]] == [
        ("base", True, None), ("ours", False, "team-a"),
    ]  # fmt: skip
    assert group["instanceTypes"][0]["spec"] == CPU.spec


def test_console_gets_the_time_zone(api: Api) -> None:
    assert api.execute("{ timezone { name offset } }") == {"timezone": {"name": "Etc/GMT", "offset": 0.0}}


def test_names_and_address_of_the_user_come_from_the_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "{ me { id username firstName lastName email isAdmin } }"
    named = Caller("7", "ann", first_name="Ann", last_name="Lee", email="ann@example.com")
    monkeypatch.setitem(CALLERS, "ann", named)
    assert list(api.execute(query, "ann")["me"].values()) == ["7", "ann", "Ann", "Lee", "ann@example.com", False]
    assert list(api.execute(query)["me"].values()) == ["1", "alice", None, None, None, False]


def test_jobs_have_the_limits_of_their_instance_types(hub: Api) -> None:
    hub.add_job("job-1", instance_type="cpu-1")
    hub.add_job("job-2", instance_type="gone")
    query = '{ phJobs(orderBy: {displayName: "asc"}) { id instanceType { name cpuLimit memoryLimit gpuLimit } } }'
    assert [job["instanceType"] for job in hub.execute(query)["phJobs"]] == [
        {"name": "cpu-1", "cpuLimit": 1.0, "memoryLimit": 2.0, "gpuLimit": 0},
        {"name": "gone", "cpuLimit": None, "memoryLimit": None, "gpuLimit": None},
    ]


def test_definitions_of_many_groups_are_limited(hub: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.definitions.known_images = [parse_image(resource(f"i-{number}", text="x" * 16_000)) for number in range(100)]
    monkeypatch.setitem(CALLERS, "many", Caller("8", "many", [f"g{number}" for number in range(20)]))
    _, answer = hub.post({"query": "{ me { effectiveGroups { images { spec } } } }"}, "many")
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"TOO_LARGE"}
    assert len(orjson.dumps(answer)) < MAX_DEFINITION_BYTES

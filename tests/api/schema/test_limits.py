"""Limits of operations and bodies: attacks are refused with 400 and a message, and do not fail internally."""

import json
import logging

import pytest
from graphql import get_introspection_query

from api.schema.request import MAX_BODY_BYTES
from tests.api.schema.graphql_api import Api
from tests.lines import lines_of


def chain(length: int, spread: str = "...f{0} ...f{0}", last: str = "id") -> str:
    """A chain of fragments that each spread the next one twice: 2 ** length fields."""
    fragments = [f"fragment f{n} on User {{ {spread.format(n + 1)} }}" for n in range(length)]
    return " ".join(["{ me { ...f0 } }", *fragments, f"fragment f{length} on User {{ {last} }}"])


RECURSIVE_INTROSPECTION = "{ __schema { types { fields { type { fields { name } } } } } }"
ATTACKS = {
    "a chain of fragments that expands to a million aliases": chain(20, last="x: id"),
    "a chain of fragments": chain(40),
    "a cycle of fragments": "{ me { ...a } } fragment a on User { ...b } fragment b on User { ...a }",
    "a fragment that spreads itself": "{ me { ...a } } fragment a on User { id ...a }",
    "an unknown fragment": "{ me { ...a } }",
    "a thousand aliases": "{ " + " ".join(f"a{n}: me {{ id }}" for n in range(300)) + " }",
    "31 aliases": "{ me { " + " ".join(f"a{n}: id" for n in range(31)) + " } }",
    "many root fields": "{ ...r } fragment r on Query { " + " ".join(f"a{n}: me {{ id }}" for n in range(11)) + " }",
    "one field two thousand times": "{ " + "me " * 1990 + " }",
    "one object many times": "{ " + "me { id } " * 490 + " }",
    "too many tokens": "{ " + "me { id } " * 600 + " }",
    "deep nesting": "{ me " * 900 + "{ id }" + " }" * 900,
    "deep nesting of valid fields": "{ a { b { c { d { e { f { g { h { i { j { k } } } } } } } } } } }",
    "deep lists in an argument": "{ phJobs(where: {groupId_in: " + "[" * 900 + "]" * 900 + "}) { id } }",
    "deep objects in an argument": "{ phJobs(where: " + "{id: " * 900 + "1" + "}" * 900 + ") { id } }",
    "a number beyond Int": "{ phJobsConnection(first: 99999999999999999999) { edges { cursor } } }",
    "a page that is too large": "{ phJobsConnection(first: 1001) { edges { cursor } } }",
    "nested pages": "{ phJobs(first: 11) { artifact { itemsConnection(first: 1000) { nodes { name } } } } }",
    "all artifacts of many jobs": "{ phJobsConnection(first: 100) { edges { node { artifact { items { name } } } } } }",
    "several operations without operationName": "query a { me { id } } query b { me { id } }",
    "only fragments": "fragment a on User { id }",
    "many operations": " ".join(f"query q{n} {{ me {{ id }} }}" for n in range(300)),
    "an empty document": " ",
    "only a comment": "# nothing",
    "not GraphQL": "SELECT * FROM jobs",
    "a lone surrogate": '{ phJob(where: {id: "\\ud800"}) { id } }',
    "null for a non-null argument": "{ phJob(where: null) { id } }",
    "an unknown field": "{ me { password } }",
    "introspection of the schema": "{ __schema { types { name } } }",
    "introspection of a type": '{ __type(name: "Query") { name } }',
    "a subscription": "subscription { me { id } }",
    "many directives": "{ me { id " + "@skip(if: true) " * 280 + "} }",
    "nested inline fragments": "{ " + "... { " * 200 + "me { id }" + " }" * 201,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_attacks_are_refused(api: Api, attack: str, caplog: pytest.LogCaptureFixture) -> None:
    assert api.refusal_message(attack)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_page_sizes_in_variables_are_limited(api: Api) -> None:
    query = "query ($n: Int) { phJobsConnection(first: $n) { edges { node { artifact { items { name } } } } } }"
    assert api.execute(query, n=10) == {"phJobsConnection": {"edges": []}}
    assert "rows" in api.refusal_message(query, n=200)
    assert "`first` must be 1000 or less" in api.refusal_message(query, n=1001)
    assert api.refusal_message(query, n=2**31)
    assert api.refusal_message(query, n="10")


def test_cached_document_is_measured_with_new_variables(api: Api) -> None:
    where = '{groupName: "Team_A", phfsPrefix: "/"}'
    query = f"query ($limit: Int) {{ files(where: {where}, options: {{limit: $limit}}) {{ prefix }} }}"
    for _ in range(2):
        assert api.execute(query, limit=10_000)
        assert "`limit` must be 10000 or less" in api.refusal_message(query, limit=10_001)


def test_queries_of_primehubs_clients_are_within_limits(api: Api) -> None:
    fields = "edges { cursor node { id artifact { prefix items { name size lastModified } } } }"
    assert api.execute(f"{{ phJobsConnection(page: 1) {{ {fields} }} }}")
    assert api.execute("{ phJobs { id artifact { prefix items { name size lastModified } } } }") == {"phJobs": []}


def test_typename_works_without_introspection(api: Api) -> None:
    assert api.execute("{ __typename me { __typename } }") == {"__typename": "Query", "me": {"__typename": "User"}}


def test_introspection_works_if_enabled(api: Api) -> None:
    open_api = Api(api.root, introspection=True)
    assert open_api.execute(get_introspection_query())["__schema"]["queryType"]["name"] == "Query"
    assert "recursive lists" in open_api.refusal_message(RECURSIVE_INTROSPECTION)


def test_suggestions_are_hidden_without_introspection(api: Api) -> None:
    assert "Did you mean" not in api.refusal_message("{ phJobb { id } }")
    assert "Did you mean" not in api.refusal_message(
        "query ($w: PhJobWhereInput) { phJobs(where: $w) { id } }", w={"idd": "1"}
    )
    assert "Did you mean" in Api(api.root, introspection=True).refusal_message("{ phJobb { id } }")


def test_usage_queries_per_request_are_limited(api: Api) -> None:
    usage = 'u: phJobArtifactUsage(groupName: "other") { files }'
    walks = " ".join(usage.replace("u:", f"u{number}:") for number in range(3))
    code, message = api.execute_error(f"{{ {walks} }}")
    assert (code, "less at a time" in message) == ("TOO_LARGE", True)


BODIES = {
    "batches": (b'[{"query": "{ me { id } }"}]', 400),
    "not JSON": (b'{"query": ', 400),
    "not an object": (b'"{ me { id } }"', 400),
    "null": (b"null", 400),
    "no query": (b"{}", 400),
    "a query that is not a string": (b'{"query": 5}', 400),
    "variables that are a list": (b'{"query": "{ me { id } }", "variables": []}', 400),
    "an operationName that is not a string": (b'{"query": "{ me { id } }", "operationName": 5}', 400),
    "an unknown operationName": (b'{"query": "{ me { id } }", "operationName": "x"}', 400),
    "not UTF-8": (b'{"query": "\xff"}', 400),
    "NaN": (b'{"query": "{ me { id } }", "variables": {"a": NaN}}', 400),
    "deep JSON": (b'{"query": "{ me { id } }", "variables": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001, 400),
    "deeper JSON": (b"[" * 60_000, 400),
    "a lone surrogate": (b'{"query": "\\ud800"}', 400),
    "an empty body": (b"", 400),
    "too large": (b'{"query": "' + b"#" * MAX_BODY_BYTES + b'"}', 413),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES.keys())
def test_invalid_bodies_are_refused(api: Api, body: bytes, status: int) -> None:
    actual, answer = api.send(body)
    assert actual == status
    assert answer["errors"][0]["extensions"]["code"] != "INTERNAL_SERVER_ERROR"
    assert "data" not in answer


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"variables=%7B%7D", "application/x-www-form-urlencoded"),
        (b"query=%7Bme%7Bid%7D%7D&variables=%7B", "application/x-www-form-urlencoded"),
        (b"query=%FF", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"&".join([b"query=1"] * 100), "application/x-www-form-urlencoded"),
        (b'{"query": "{me{id}}"}', "text/plain"),
        (b'{"query": "{me{id}}"}', ""),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (b"{me{id}}", "application/graphql"),
    ],
)
def test_forms_and_other_media_types_are_refused(api: Api, content: bytes, media_type: str) -> None:
    status, answer = api.send(content, media_type)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")


def test_form_with_empty_variables_is_accepted(api: Api) -> None:
    status, answer = api.send(b"query=%7Bme%7Bid%7D%7D&variables=", "application/x-www-form-urlencoded; charset=utf-8")
    assert (status, answer) == (200, {"data": {"me": {"id": "1"}}})


def test_only_post_is_allowed(api: Api) -> None:
    response = api.client.get("/api/graphql?query={me{id}}", headers={"X-Caller": "alice"})
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_unauthenticated_requests_are_refused_before_parsing(api: Api) -> None:
    for body in (b"{", json.dumps({"query": "{ me { id } }"}).encode()):
        response = api.client.post("/api/graphql", data=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json is not None
        assert response.json["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert "data" not in response.json


def test_requests_are_timed_by_kind(api: Api) -> None:
    api.execute("{ me { id } }")
    api.refusal_message("{ nothing }")
    api.execute('mutation { notifyPhJobEvent(data: {id: "1", type: "x"}) }')
    for kind in ("query", "mutation", "refused"):
        name, labels = "phjob_artifact_graphql_seconds_count", {"operation": kind}
        assert api.services.metrics.registry.get_sample_value(name, labels) == 1


def test_internal_error_has_only_an_id(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("the secret place is /etc/secret")

    api.jobs.get = broken  # type: ignore[assignment, method-assign]
    code, message = api.execute_error('{ phJob(where: {id: "job-1"}) { id } }')
    assert code == "INTERNAL_SERVER_ERROR"
    assert "secret" not in message
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert message.rsplit(" ", 1)[1] in lines_of([record])[0]
    assert record.exc_info

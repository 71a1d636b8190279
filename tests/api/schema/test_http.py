"""GraphQL over a real HTTP server: chunked bodies, truncated bodies, and concurrent requests."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.api.schema.graphql_api import Api

HEADERS = {"Content-Type": "application/json", "X-Caller": "alice"}
REQUEST = json.dumps({"query": "{ me { username } }"}).encode()
RESPONSE = {"data": {"me": {"username": "alice"}}}


@pytest.fixture
def port(api: Api) -> Iterator[int]:
    """The port of an HTTP server for the API."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="service")
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def post(port: int, body: Any, **options: Any) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/api/graphql", body, HEADERS, **options)
        with connection.getresponse() as response:
            assert response.headers["Content-Type"] == "application/json"
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, json.loads(response.read())


def test_chunked_body_is_accepted(port: int) -> None:
    assert post(port, iter([REQUEST[:5], REQUEST[5:]]), encode_chunked=True) == (200, RESPONSE)


def test_body_is_read_only_up_to_the_limit(port: int) -> None:
    endless = (b"x" * 1024 for _ in range(1024))
    try:
        status, answer = post(port, endless, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError):
        return  # the server refused the body before all of it was sent
    assert (status, answer["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")


def test_truncated_body_does_not_block_others(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as broken:
        broken.sendall(b"POST /api/graphql HTTP/1.1\r\nHost: x\r\nX-Caller: alice\r\nContent-Length: 500\r\n\r\n{")
        assert post(port, REQUEST) == (200, RESPONSE)


def test_concurrent_requests_get_their_own_responses(api: Api, port: int) -> None:
    for number in range(20):
        api.add_job(f"job-{number}")
        api.write_folder(f"job-{number}", {f"file-{number}": b"1"})

    def ask(number: int) -> Any:
        query = "query ($id: ID!) { phJob(where: {id: $id}) { id artifact { items { name } } } }"
        variables = {"id": f"job-{number % 20}"}
        return post(port, json.dumps({"query": query, "variables": variables}).encode())[1]["data"]["phJob"]

    with ThreadPoolExecutor(16) as pool:
        for number, job in enumerate(pool.map(ask, range(100))):
            expected = {"id": f"job-{number % 20}", "artifact": {"items": [{"name": f"file-{number % 20}"}]}}
            assert job == expected

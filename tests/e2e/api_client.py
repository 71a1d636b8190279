"""A client of the API through its Service, with tokens of service accounts."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import Request, urlopen

from tests.e2e.kubectl import KUBECTL, kubectl

SERVICE = "phjob-artifacts-api"
AUDIENCE = "phjob-artifacts"
ARTIFACT = """query($id: ID!) { phJob(where: {id: $id}) { phase reason finishTime artifact {
  prefix state statusState message expiredAt totalCount totalSize items { name size }
  report { message found { files bytes } skipped { reason files paths } } } } }"""


@dataclass(frozen=True)
class E2eApiClient:
    """A client of the API at `url` that authenticates with `token`."""

    url: str
    token: str

    def query(self, query: str, **variables: Any) -> Any:
        """Execute a GraphQL document and return its data. Fails if the response has errors."""
        response = self.execute(query, **variables)
        assert "errors" not in response, response
        return response["data"]

    def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """Execute a GraphQL document and return the response."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        response: dict[str, Any] = json.loads(self._fetch("/api/graphql", body))
        return response

    def artifact(self, job: str) -> dict[str, Any]:
        """Return the job's `artifact` field."""
        artifact: dict[str, Any] = self.query(ARTIFACT, id=job)["phJob"]["artifact"]
        return artifact

    def names(self, job: str) -> set[str]:
        """Return the names of the job's artifacts."""
        return {file["name"] for file in self.artifact(job)["items"]}

    def download(self, path: str) -> bytes:
        """Download a file. `path`: the prefix of a job's artifacts, and the file's name."""
        return self._fetch(f"/api/files/{path}")

    def as_account(self, namespace: str, account: str) -> "E2eApiClient":
        """Return a client that authenticates as another service account."""
        return replace(self, token=create_api_token(namespace, account))

    def _fetch(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with urlopen(Request(self.url + path, body, headers), timeout=30) as response:
            content: bytes = response.read()
        return content


def create_api_token(namespace: str, account: str) -> str:
    """Create a token of a service account for the API's audience."""
    words = ("create", "token", account, "--audience", AUDIENCE, "--duration", "2h")
    return kubectl("-n", namespace, *words).strip()


@contextmanager
def reachable_api(namespace: str) -> Iterator[str]:
    """Yield a URL of the API: with its cluster IP if that is reachable, else through `kubectl port-forward`."""
    address = kubectl("-n", namespace, "get", "service", SERVICE, "-o", "jsonpath={.spec.clusterIP}")
    if _is_listening(address, 80):
        yield f"http://{address}"
        return
    command = [str(KUBECTL), "-n", namespace, "port-forward", f"service/{SERVICE}", ":80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout
        try:
            port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            yield f"http://127.0.0.1:{int(port)}"
        finally:
            forward.kill()


def _is_listening(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True

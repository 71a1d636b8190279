"""The API as its users reach it: through the Service, with tokens of service accounts."""

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
  prefix state expiredAt totalCount totalSize items { name size }
  report { message found { files bytes } skipped { reason files paths } } } } }"""


@dataclass(frozen=True)
class Service:
    """`url`: of the service; `token`: of who asks."""

    url: str
    token: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer's data; a failure where it has errors."""
        answer = self.answer(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer: dict[str, Any] = json.loads(self._fetch("/api/graphql", body))
        return answer

    def artifact(self, job: str) -> dict[str, Any]:
        """What is told of the job's artifacts."""
        found: dict[str, Any] = self.ask(ARTIFACT, id=job)["phJob"]["artifact"]
        return found

    def names(self, job: str) -> set[str]:
        return {item["name"] for item in self.artifact(job)["items"]}

    def download(self, path: str) -> bytes:
        """What lies there; `path`: the prefix of a job's artifacts and what follows."""
        return self._fetch(f"/api/files/{path}")

    def as_account(self, namespace: str, account: str) -> "Service":
        """The same service, asked by another."""
        return replace(self, token=make_token(namespace, account))

    def _fetch(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with urlopen(Request(self.url + path, body, headers), timeout=30) as answer:
            content: bytes = answer.read()
        return content


def make_token(namespace: str, account: str) -> str:
    words = ("create", "token", account, "--audience", AUDIENCE, "--duration", "2h")
    return kubectl("-n", namespace, *words).strip()


@contextmanager
def reach(namespace: str) -> Iterator[str]:
    """The service's URL: by its cluster IP, where that can be reached; else kubectl leads there."""
    address = kubectl("-n", namespace, "get", "service", SERVICE, "-o", "jsonpath={.spec.clusterIP}")
    if _answers(address, 80):
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


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True

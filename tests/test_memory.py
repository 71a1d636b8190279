"""The memory of the controller and the API, as processes, with PhJobs as large as an API server accepts them."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.informers import until

PHJOBS = "/apis/primehub.io/v1alpha1/namespaces/ns/phjobs"
COUNT = 100
# Without limits by bytes, the controller needed 500 MiB and the API 600 MiB. Both need 90 to 110 MiB without PhJobs.
MAX_MIB = 300

LABELS = {f"hostile.example/{number:030}": "v" * 60 for number in range(5600)}
MANAGED = [{"manager": "m", "fieldsV1": {"f:metadata": {"f:labels": {f"f:{name}": {} for name in LABELS}}}}]
METADATA = {"labels": LABELS, "managedFields": MANAGED, "annotations": {"a": "a" * 250_000}}
SMALL, LARGE = ({"annotations": {"a": ""}}, "SMALL"), (METADATA, "c" * 131_000)


class LargeObjects(ApiServer):
    """An API server whose PhJobs become large when they are sent."""

    replacements = tuple(
        tuple(json.dumps(value)[1:-1].encode() for value in values) for values in zip(SMALL, LARGE, strict=True)
    )

    def encode(self, document: Any) -> bytes:
        text = super().encode(document)
        for small, large in self.replacements:
            text = text.replace(small, large)
        return text


@pytest.fixture
def server() -> Iterator[LargeObjects]:
    api_server = LargeObjects(bookmark_seconds=1.0)
    with api_server:
        api_server.put("/api/v1/namespaces/ns", {"metadata": {}})
        spec = {"groupName": "team", "image": "python", "command": SMALL[1], "cancel": True}
        for number in range(COUNT):
            api_server.put(f"{PHJOBS}/job-{number}", {"metadata": dict(SMALL[0]), "spec": spec})
        assert len(api_server.encode(api_server.objects.get(parse_path(f"{PHJOBS}/job-0")))) > 1_250_000
        yield api_server


@contextmanager
def process(server: ApiServer, folder: Path, part: str, *words: str, **settings: str) -> Iterator[tuple[int, str]]:
    """Run a part of the product until it is ready. Yields its process id and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server.url}}],
        "users": [{"name": "x", "user": {"token": "test"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    variables = {"NAMESPACE": "ns", "LISTEN": address, **settings}
    env = {f"PHJOB_{part.upper()}_{name}": value for name, value in variables.items()}
    running = subprocess.Popen(
        [sys.executable, "-m", part, *words],
        env={**os.environ, **env, "KUBECONFIG": str(folder / "config"), "PHJOB_CLEANUP_ENABLED": "false"},
        stderr=subprocess.DEVNULL,
    )

    def is_ready() -> bool:
        assert running.poll() is None
        try:
            with urllib.request.urlopen(f"http://{address}/readyz") as response:
                return bool(response.status == 200)
        except OSError:
            return False

    try:
        until(is_ready, "the process is ready", seconds=120)
        yield running.pid, f"http://{address}"
    finally:
        running.terminate()
        running.wait()


def peak_mib(pid: int) -> int:
    """Return the highest memory of the process, or of its child that needed the most."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert own
    return max([int(own[1]) // 1024, *(peak_mib(int(child)) for child in children)])


def test_the_controllers_memory_is_bounded(server: LargeObjects, tmp_path: Path) -> None:
    with process(server, tmp_path, "controller", "reconcile") as (pid, _):

        def cancelled() -> int:
            phjobs = server.objects.all(parse_path(PHJOBS))
            return sum(phjob.get("status", {}).get("phase") == "Cancelled" for phjob in phjobs)

        until(lambda: cancelled() == COUNT, "all jobs are cancelled", seconds=120)
        assert peak_mib(pid) < MAX_MIB


def test_the_apis_memory_is_bounded(server: LargeObjects, tmp_path: Path) -> None:
    (tmp_path / "groups").mkdir()
    with process(server, tmp_path, "api", "serve", STORE=str(tmp_path), AUTH="none") as (pid, url):
        query = '{ phJobs(first: 1000) { id command } phJob(where: {id: "job-7"}) { command } }'
        request = urllib.request.Request(
            f"{url}/api/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            data = json.load(response)["data"]
        assert len(data["phJobs"]) == COUNT
        assert max(len(job["command"]) for job in data["phJobs"]) < 3000
        assert data["phJob"]["command"] == LARGE[1]
        assert peak_mib(pid) < MAX_MIB

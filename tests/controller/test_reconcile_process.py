"""`python -m controller reconcile` as real processes: killed while it leads, told to end, told nonsense."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controller.kubelet import world
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.informers import until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/phjob-artifacts-controller"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


def environ(server: ApiServer, folder: Path) -> dict[str, str]:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server.url}}],
        "users": [{"name": "x", "user": {"token": "test"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    given = {
        "KUBECONFIG": str(folder / "config"),
        "PHJOB_CONTROLLER_NAMESPACE": "ns",
        "PHJOB_CONTROLLER_LISTEN": "",
        "PHJOB_CONTROLLER_LEASE_SECONDS": "1",
    }
    return {**os.environ, **given}


@contextmanager
def process(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    found = subprocess.Popen([sys.executable, "-m", "controller", "reconcile"], env=env, stderr=subprocess.PIPE)
    try:
        yield found
    finally:
        found.kill()
        found.communicate()


def test_a_leader_killed_in_the_middle_of_fifty_jobs_is_followed_and_each_job_ends_once(
    server: ApiServer, tmp_path: Path
) -> None:
    names = [f"job-{number}" for number in range(50)]
    env = environ(server, tmp_path)
    with world(server) as (found, _):
        for name in names:
            found.add_job(name, "exit 7" if name.endswith("3") else "true")

        def ended() -> int:
            return sum(found.phase(name)[1] == "sealed" for name in names)

        with process(env) as first:
            until(lambda: server.objects.all(parse_path(LEASE)._replace(name="")), "one leads")
            with process(env):
                until(lambda: ended() >= 5 or first.poll() is not None, "it is in the middle")
                first.kill()
                at_the_kill = ended()
                until(lambda: ended() == 50, "all have ended")
                # The status comes first. Lost are those that were in hand when it was killed, one for each worker.
                until(lambda: sum(len(found.events(name)) for name in names) >= 50 - 4, "their events are told")
        assert at_the_kill < 50
        for name in names:
            assert found.phase(name)[0] == ("Failed" if name.endswith("3") else "Succeeded")
            assert len(found.events(name)) <= 1
        assert {name: len(uids) for name, uids in found.made.items()} == dict.fromkeys(names, 1)


def test_it_resigns_when_it_is_told_to_end(server: ApiServer, tmp_path: Path) -> None:
    with world(server), process(environ(server, tmp_path)) as found:
        until(lambda: server.objects.all(parse_path(LEASE)._replace(name="")), "it leads")
        found.send_signal(signal.SIGTERM)
        _, said = found.communicate(timeout=20)
        assert found.returncode == 0
        assert b"ending signal=SIGTERM" in said
        assert "holderIdentity" not in server.objects.get(parse_path(LEASE))["spec"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PHJOB_CONTROLLER_WORKERS", "many", b"PHJOB_CONTROLLER_WORKERS='many': use a whole number from 1 to 64"),
        ("PHJOB_CONTROLLER_WORKING_SIZE", "big", b"use a Kubernetes quantity"),
        ("KUBECONFIG", "/nowhere", b"KUBECONFIG=/nowhere cannot be used"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_started(
    server: ApiServer, tmp_path: Path, name: str, value: str, says: bytes
) -> None:
    with process({**environ(server, tmp_path), name: value}) as found:
        _, said = found.communicate(timeout=20)
    assert found.returncode == 2
    assert says in said


def test_its_health_is_served(server: ApiServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    with process({**environ(server, tmp_path), "PHJOB_CONTROLLER_LISTEN": address}) as found:

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://{address}/readyz") as answer:
                    return bool(answer.status == 200)
            except OSError:
                return found.poll() is not None

        until(ready, "it is ready")
        assert found.poll() is None

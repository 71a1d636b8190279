"""`python -m controller reconcile` as processes: a killed leader, SIGTERM, invalid settings."""

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

from tests.controller.fake_cluster import fake_cluster
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.informers import until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/phjob-artifacts-controller"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


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
    variables = {
        "KUBECONFIG": str(folder / "config"),
        "PHJOB_CONTROLLER_NAMESPACE": "ns",
        "PHJOB_CONTROLLER_LISTEN": "",
        "PHJOB_CONTROLLER_LEASE_SECONDS": "1",
    }
    return {**os.environ, **variables}


@contextmanager
def process(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    controller = subprocess.Popen([sys.executable, "-m", "controller", "reconcile"], env=env, stderr=subprocess.PIPE)
    try:
        yield controller
    finally:
        controller.kill()
        controller.communicate()


def test_another_replica_takes_over_from_a_killed_leader_and_each_job_ends_once(
    server: ApiServer, tmp_path: Path
) -> None:
    names = [f"job-{number}" for number in range(50)]
    env = environ(server, tmp_path)
    with fake_cluster(server) as (cluster, _):
        for name in names:
            cluster.add_job(name, "exit 7" if name.endswith("3") else "true")

        def ended() -> int:
            return sum(cluster.phase(name)[1] == "sealed" for name in names)

        with process(env) as first:
            until(lambda: server.objects.all(parse_path(LEASE)._replace(name="")), "the first leads")
            with process(env):
                until(lambda: ended() >= 5 or first.poll() is not None, "some jobs ended")
                first.kill()
                at_the_kill = ended()
                until(lambda: ended() == 50, "all ended")
                # The status is written before the event, so the kill can lose one event for each worker.
                until(lambda: sum(len(cluster.events(name)) for name in names) >= 50 - 16, "their events")
        assert at_the_kill < 50
        for name in names:
            assert cluster.phase(name)[0] == ("Failed" if name.endswith("3") else "Succeeded")
            assert len(cluster.events(name)) <= 1
        assert {name: len(uids) for name, uids in cluster.created.items()} == dict.fromkeys(names, 1)


def test_the_leader_resigns_on_sigterm(server: ApiServer, tmp_path: Path) -> None:
    with fake_cluster(server), process(environ(server, tmp_path)) as controller:
        until(lambda: server.objects.all(parse_path(LEASE)._replace(name="")), "the controller leads")
        controller.send_signal(signal.SIGTERM)
        _, log = controller.communicate(timeout=20)
        assert controller.returncode == 0
        assert b"ending signal=SIGTERM" in log
        assert "holderIdentity" not in server.objects.get(parse_path(LEASE))["spec"]


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (
            {"PHJOB_CONTROLLER_WORKERS": "many", "PHJOB_CONTROLLER_WORKING_SIZE": "big"},
            [b"_WORKERS='many': use a whole number from 1 to 64", b"use a Kubernetes quantity"],
        ),
        ({"KUBECONFIG": "/nowhere"}, [b"KUBECONFIG=/nowhere cannot be used"]),
    ],
)
def test_invalid_settings_end_the_process(
    server: ApiServer, tmp_path: Path, settings: dict[str, str], problems: list[bytes]
) -> None:
    with process(environ(server, tmp_path) | settings) as controller:
        _, log = controller.communicate(timeout=20)
    assert controller.returncode == 2
    assert [problem for problem in problems if problem not in log] == []


def test_health_is_served(server: ApiServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with process({**environ(server, tmp_path), "PHJOB_CONTROLLER_LISTEN": address}) as controller:

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://{address}/readyz") as response:
                    return bool(response.status == 200)
            except OSError:
                return controller.poll() is not None

        until(ready, "the controller is ready")
        assert controller.poll() is None

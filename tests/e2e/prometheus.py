"""Runs a real Prometheus that scrapes the targets of components/prometheus and evaluates its rules.

`python -m tests.e2e.prometheus [NAMESPACE]` runs one until Ctrl-C, for example for `make dashboards-check`.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.client import Configuration

from kube.config import load_configuration
from tests.e2e.installation import NAMESPACE
from tests.e2e.scrape_targets import Document, monitors, scrape_config, updated_targets
from tests.prometheus.rules import RULES

_START_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Prometheus:
    """A client of a Prometheus at `url`."""

    url: str

    def query(self, expression: str) -> list[Document]:
        """Evaluate an expression now. Raises ValueError with the error message."""
        series: list[Document] = self._get("query", query=expression)["result"]
        return series

    def values(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Evaluate an expression, and return its values by the values of these labels."""
        return {
            tuple(series["metric"].get(label, "") for label in labels): float(series["value"][1])
            for series in self.query(expression)
        }

    def value(self, expression: str) -> float:
        """Evaluate an expression, and return its first value, or 0 if it has none."""
        return next(iter(self.values(expression).values()), 0.0)

    def metric_names(self) -> set[str]:
        """Return the names of all metrics."""
        return set(self._get("label/__name__/values"))

    def rules(self) -> list[Document]:
        """Return all rules with the state of their last evaluation."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def has_evaluated_since(self, moment: float) -> bool:
        """Whether every rule has been evaluated after `moment` (UNIX seconds)."""
        return all(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() > moment for rule in self.rules())

    def is_ready(self) -> bool:
        """Whether Prometheus is ready."""
        with suppress(OSError, urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{self.url}/-/ready", retries=False, timeout=2).status == 200
        return False

    def _get(self, path: str, **fields: str) -> Any:
        response = urllib3.request("GET", f"{self.url}/api/v1/{path}", fields=fields, timeout=10).json()
        if response["status"] != "success":
            raise ValueError(f"{response['error']}: {fields}")
        return response["data"]


@contextmanager
def running_prometheus(access: Configuration, namespace: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that stores its files in `folder`."""
    config = folder / "prometheus.yaml"
    config.write_text(json.dumps(configuration(folder)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = {"config.file": config, "storage.tsdb.path": folder / "data", "web.listen-address": address}
    command = [str(shutil.which("prometheus")), *(f"--{name}={value}" for name, value in flags.items())]
    with (
        updated_targets(access, namespace, folder),
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield _wait_until_ready(Prometheus(f"http://{address}"), process, folder / "log")
        finally:
            process.kill()


def _wait_until_ready(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while not prometheus.is_ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return prometheus


def configuration(folder: Path) -> Document:
    """Return a configuration with short intervals, all rules, and the target files in `folder`."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [scrape_config(monitor, folder) for monitor in monitors()],
    }


def main(namespace: str = NAMESPACE) -> None:
    """Run a Prometheus for the cluster of KUBECONFIG until Ctrl-C, and print its URL."""
    access = load_configuration()
    with tempfile.TemporaryDirectory() as folder, running_prometheus(access, namespace, Path(folder)) as prometheus:
        print(prometheus.url, flush=True)
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])

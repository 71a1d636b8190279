"""A real Prometheus beside the cluster: it scrapes what components/prometheus tells its operator to, and has the rules.

`python -m tests.e2e.prometheus [NAMESPACE]` runs one until Ctrl-C, for people and for `make dashboards-check`.
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
from tests.e2e.targets import Document, kept_up, monitors, scrape
from tests.prometheus.rules import RULES

_ANSWERS_SECONDS = 30.0


@dataclass(frozen=True)
class Prometheus:
    """`url`: of its API."""

    url: str

    def ask(self, expression: str) -> list[Document]:
        """The series that it answers now. Raises ValueError with its words where it refuses."""
        series: list[Document] = self._get("query", query=expression)["result"]
        return series

    def values(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The answer's values by the values of these labels."""
        return {
            tuple(each["metric"].get(label, "") for label in labels): float(each["value"][1])
            for each in self.ask(expression)
        }

    def value(self, expression: str) -> float:
        """The only value; 0 where there is none."""
        return next(iter(self.values(expression).values()), 0.0)

    def names(self) -> set[str]:
        """Of all metrics that it has seen."""
        return set(self._get("label/__name__/values"))

    def rules(self) -> list[Document]:
        """All rules, with what came of their last evaluation."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def has_judged_since(self, moment: float) -> bool:
        """Whether every rule has been evaluated after that, UNIX seconds."""
        return all(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() > moment for rule in self.rules())

    def answers(self) -> bool:
        """Whether it is ready."""
        with suppress(OSError, urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{self.url}/-/ready", retries=False, timeout=2).status == 200
        return False

    def _get(self, what: str, **fields: str) -> Any:
        answer = urllib3.request("GET", f"{self.url}/api/v1/{what}", fields=fields, timeout=10).json()
        if answer["status"] != "success":
            raise ValueError(f"{answer['error']}: {fields}")
        return answer["data"]


@contextmanager
def prometheus(access: Configuration, namespace: str, folder: Path) -> Iterator[Prometheus]:
    """One that keeps all it has in `folder`."""
    config = folder / "prometheus.yaml"
    config.write_text(json.dumps(configuration(folder)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = {"config.file": config, "storage.tsdb.path": folder / "data", "web.listen-address": address}
    command = [str(shutil.which("prometheus")), *(f"--{name}={value}" for name, value in flags.items())]
    with (
        kept_up(access, namespace, folder),
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield _once_it_answers(Prometheus(f"http://{address}"), process, folder / "log")
        finally:
            process.kill()


def _once_it_answers(found: Prometheus, process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    deadline = time.monotonic() + _ANSWERS_SECONDS
    while not found.answers():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return found


def configuration(folder: Path) -> Document:
    """Short times, all rules, and the targets that are told in `folder`."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [scrape(monitor, folder) for monitor in monitors()],
    }


def main(namespace: str = NAMESPACE) -> None:
    access = load_configuration()
    with tempfile.TemporaryDirectory() as folder, prometheus(access, namespace, Path(folder)) as found:
        print(found.url, flush=True)
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])

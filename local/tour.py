"""The second half of the demo: the API is asked for what the first half kept, as a console or the SDK would ask.

It is the real service, `python -m local serve`, over HTTP. What is asked and answered is shown.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from api.settings import CLEANUP
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, format_expiry, job_prefix
from local.environment import module_environ
from local.service import address_file

_PATIENCE_SECONDS = 20.0


class TourFailed(Exception):
    """The service did not do what was asked."""


@dataclass(frozen=True)
class Api:
    """Where the service answers, and the token that it wants."""

    url: str
    token: str

    def get(self, path: str) -> bytes:
        return self._send(Request(self.url + path))

    def graphql(self, query: str) -> Any:
        """The answer's data."""
        print(f"graphql> {query}")
        body = json.dumps({"query": query}).encode()
        answer = json.loads(self._send(Request(f"{self.url}/api/graphql", body, {"Content-Type": "application/json"})))
        if "errors" in answer:
            raise TourFailed(str(answer["errors"]))
        print(f"         {json.dumps(answer['data'])}", flush=True)
        return answer["data"]

    def _send(self, request: Request) -> bytes:
        request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # to the service on loopback alone
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            with error:
                raise TourFailed(f"{request.full_url}: {error.code} {error.read().decode()}") from error


def tour(data: Path, group: str, job: str, file: str, content: bytes, environ: Mapping[str, str]) -> list[str]:
    """List `job`, whose `file` has this content, download that, let the job expire and clean up. What went wrong."""
    print(
        f"\n== The API lists them, serves them and cleans up\n$ python -m local serve --data {data} --port 0",
        flush=True,
    )
    try:
        with _serving(data, environ) as api:
            return _walk(api, data / "phfs" / job_prefix(group, job), group, job, {file: content})
    except (TourFailed, OSError) as error:
        return [str(error)]


def _walk(api: Api, folder: Path, group: str, job: str, kept: Mapping[str, bytes]) -> list[str]:
    listing = f'{{ phJobArtifact(where: {{groupName: "{group}", job: "{job}"}}) {{ state items {{ name size }} }} }}'
    problems = []
    listed = {item["name"]: item["size"] for item in api.graphql(listing)["phJobArtifact"]["items"]}
    for name, content in kept.items():
        if listed.get(name) != len(content):
            problems.append(f"{name} is listed as {listed.get(name)} bytes, not {len(content)}")
        path = f"/api/files/groups/{group}/jobArtifacts/{job}/{name}"
        downloaded = api.get(path)
        print(f"GET {path}\n         {downloaded!r}")
        if downloaded != content:
            problems.append(f"{name} was downloaded as {downloaded!r}")
    past = format_expiry(time.time() - 60)
    print(f"$ echo {int(past)} | tee {EXPIRED_AT} {LEGACY_EXPIRED_AT}    # its time is over since a minute")
    for expiry in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        (folder / expiry).write_bytes(past)
    if api.graphql("mutation { cleanupPhJobArtifact }")["cleanupPhJobArtifact"] != 1:
        problems.append("the cleanup did not remove one job's artifacts")
    if api.graphql(listing)["phJobArtifact"]["items"] or folder.exists():
        problems.append(f"{folder} is still there")
    return problems


@contextlib.contextmanager
def _serving(data: Path, environ: Mapping[str, str]) -> Iterator[Api]:
    command = [sys.executable, "-P", "-m", "local", "serve", "--data", str(data), "--port", "0"]
    # What is overdue would be cleaned up at the start; here it is to wait for the mutation.
    settings = module_environ(environ) | {f"{CLEANUP}ENABLED": "false"}
    process = subprocess.Popen(command, env=settings, stderr=subprocess.DEVNULL)
    try:
        yield _wait_address(address_file(data), process)
    finally:
        process.terminate()
        process.wait()


def _wait_address(path: Path, process: "subprocess.Popen[bytes]") -> Api:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TourFailed("the service did not start: run it by hand to see why")
        time.sleep(0.05)
    return Api(**json.loads(path.read_bytes()))

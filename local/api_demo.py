"""The second half of the demo: uses the API as a client would, and prints each request and response.

The API is that of `python -m local serve`, over HTTP.
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

from api.settings import CLEANUP_PREFIX
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, format_expiry, job_prefix
from local.api_server import address_file
from local.environment import module_environ

_TIMEOUT_SECONDS = 20.0
_RETENTION = "PHJOB_ARTIFACT_RETENTION_SECONDS=1"  # no expiry file can let artifacts expire before that


class ApiDemoError(Exception):
    """The API did not start, or a response was an error."""


@dataclass(frozen=True)
class ApiClient:
    """A client of the API at `url`."""

    url: str
    token: str

    def get(self, path: str) -> bytes:
        """Return the body of the response. Raises ApiDemoError."""
        return self._send(Request(self.url + path))

    def graphql(self, query: str) -> Any:
        """Return the response's `data`, and print query and data. Raises ApiDemoError."""
        print(f"graphql> {query}")
        body = json.dumps({"query": query}).encode()
        response = json.loads(
            self._send(Request(f"{self.url}/api/graphql", body, {"Content-Type": "application/json"}))
        )
        if "errors" in response:
            raise ApiDemoError(str(response["errors"]))
        print(f"         {json.dumps(response['data'])}", flush=True)
        return response["data"]

    def _send(self, request: Request) -> bytes:
        request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # the URL is always on loopback
                body: bytes = response.read()
                return body
        except HTTPError as error:
            with error:
                raise ApiDemoError(f"{request.full_url}: {error.code} {error.read().decode()}") from error


def run_api_demo(data: Path, group: str, job: str, file: str, content: bytes, environ: Mapping[str, str]) -> list[str]:
    """List the artifacts of `job`, download `file`, let the artifacts expire and clean up.

    Returns a sentence per unexpected result; `content` is the expected content of `file`.
    """
    print(
        f"\n== The API lists the artifacts of the first job, serves its files and removes them when they have expired\n"
        f"$ {_RETENTION} python -m local serve --data {data} --port 0",
        flush=True,
    )
    try:
        with _serving(data, environ) as api:
            return _run_requests(api, data / "phfs" / job_prefix(group, job), group, job, {file: content})
    except (ApiDemoError, OSError) as error:
        return [str(error)]


def _run_requests(api: ApiClient, folder: Path, group: str, job: str, files: Mapping[str, bytes]) -> list[str]:
    listing = f'{{ phJobArtifact(where: {{groupName: "{group}", job: "{job}"}}) {{ state items {{ name size }} }} }}'
    problems = []
    sizes = {item["name"]: item["size"] for item in api.graphql(listing)["phJobArtifact"]["items"]}
    for name, content in files.items():
        if sizes.get(name) != len(content):
            problems.append(f"{name} is listed with {sizes.get(name)} bytes instead of {len(content)}")
        path = f"/api/files/groups/{group}/jobArtifacts/{job}/{name}"
        downloaded = api.get(path)
        print(f"GET {path}\n         {downloaded!r}")
        if downloaded != content:
            problems.append(f"the download of {name} is {downloaded!r} instead of {content!r}")
    past = format_expiry(time.time() - 60)
    print(f"$ echo {int(past)} | tee {EXPIRED_AT} {LEGACY_EXPIRED_AT}    # set the expiry to one minute ago")
    for expiry in (EXPIRED_AT, LEGACY_EXPIRED_AT):
        (folder / expiry).write_bytes(past)
    if api.graphql("mutation { cleanupPhJobArtifact }")["cleanupPhJobArtifact"] != 1:
        problems.append("the cleanup did not remove the artifacts of exactly one job")
    if api.graphql(listing)["phJobArtifact"]["items"] or folder.exists():
        problems.append(f"the cleanup did not remove {folder}")
    return problems


@contextlib.contextmanager
def _serving(data: Path, environ: Mapping[str, str]) -> Iterator[ApiClient]:
    command = [sys.executable, "-P", "-m", "local", "serve", "--data", str(data), "--port", "0"]
    # Disable the scheduled cleanup, which would run at the start; the demo runs the cleanup with a mutation.
    name, _, seconds = _RETENTION.partition("=")
    settings = module_environ(environ) | {f"{CLEANUP_PREFIX}ENABLED": "false", name: seconds}
    process = subprocess.Popen(command, env=settings, stderr=subprocess.DEVNULL)
    try:
        yield _wait_for_address(address_file(data), process)
    finally:
        process.terminate()
        process.wait()


def _wait_for_address(path: Path, process: "subprocess.Popen[bytes]") -> ApiClient:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ApiDemoError("`serve` did not start: run it by hand to see its error message")
        time.sleep(0.05)
    return ApiClient(**json.loads(path.read_bytes()))

"""S3 servers for the tests, on loopback, with direct access to their objects."""

import contextlib
import importlib
import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKET = "phfs"
VERSITYGW = Path(__file__).parents[3] / ".tools/versitygw"
_KEY, _SECRET = "access", "not-a-secret"


@dataclass(frozen=True)
class S3Server:
    """An S3 server with one bucket. `client` is boto3's, which accepts any key."""

    url: str
    client: Any

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment with which a store finds the server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def put(self, *keys: str, content: bytes = b"") -> None:
        for key in keys:
            self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@contextlib.contextmanager
def moto() -> Iterator[S3Server]:
    """Run moto's server in a thread."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = importlib.import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with _create_bucket(f"http://{host}:{port}") as found:
            yield found
    finally:
        server.stop()


@contextlib.contextmanager
def versitygw(folder: Path) -> Iterator[S3Server]:
    """Run versitygw over a folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        [VERSITYGW, "--port", f"127.0.0.1:{port}", "--quiet", "posix", folder],
        env={**os.environ, "ROOT_ACCESS_KEY": _KEY, "ROOT_SECRET_KEY": _SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for_port(port)
            with _create_bucket(f"http://127.0.0.1:{port}") as found:
                yield found
        finally:
            process.kill()


@contextlib.contextmanager
def _create_bucket(url: str) -> Iterator[S3Server]:
    client = importlib.import_module("boto3").client(
        "s3", endpoint_url=url, aws_access_key_id=_KEY, aws_secret_access_key=_SECRET, region_name="us-east-1"
    )
    try:
        client.create_bucket(Bucket=BUCKET)
        yield S3Server(url, client)
    finally:
        client.close()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)

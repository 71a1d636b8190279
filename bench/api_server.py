"""A fake Kubernetes API server with many PhJobs, a delay for each write, and a kubelet. For benchmarks only.

It runs in its own process, so that it does not use the measured process' time:
`python -m bench.api_server FINISHED_JOBS MILLISECONDS` prints its port. `POST /bench/jobs?count=N` creates PhJobs, and
`GET /bench/progress` returns how many of these have ended, and the seconds from the creation of each to its pod.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PHJOBS = "/apis/primehub.io/v1alpha1/namespaces/ns/phjobs"
_PODS = "/api/v1/namespaces/ns/pods"
_ENDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}
_SUMMARY = json.dumps({"version": 1, "state": "sealed", "sealed": True, "files": 2, "bytes": 300})
_MAIN_SECONDS = 0.05
_WATCH_POLL_SECONDS = 0.005

Document = dict[str, Any]


@dataclass
class _Collection:
    """Objects by name, as JSON too, and the events of its watches with their versions."""

    objects: dict[str, tuple[Document, bytes]] = field(default_factory=dict)
    events: list[tuple[int, bytes]] = field(default_factory=list)


class _NotFound(Exception):
    """The object does not exist."""


class _Store:
    def __init__(self) -> None:
        self.version = 100
        self.collections: dict[str, _Collection] = {}

    def collection(self, path: str) -> _Collection:
        return self.collections.setdefault(path, _Collection())

    def get(self, path: str) -> tuple[Document, bytes]:
        parent, _, name = path.rpartition("/")
        try:
            return self.collection(parent).objects[name]
        except KeyError:
            raise _NotFound from None

    def put(self, path: str, document: Document, *, with_event: bool = True) -> bytes:
        parent, _, name = path.rpartition("/")
        collection = self.collection(parent)
        kind = "MODIFIED" if name in collection.objects else "ADDED"
        self.version += 1
        metadata = {"uid": f"uid-{name}", "creationTimestamp": _now(), **document.get("metadata", {})}
        metadata |= {"name": name, "namespace": "ns", "resourceVersion": str(self.version)}
        document = {**document, "metadata": metadata}
        text = json.dumps(document).encode()
        collection.objects[name] = document, text
        if with_event:
            collection.events.append((self.version, b'{"type":"%s","object":%s}\n' % (kind.encode(), text)))
        return text

    def list_page(self, path: str, query: Mapping[str, str]) -> bytes:
        texts = [text for _, text in self.collection(path).objects.values()]
        begin, limit = int(query.get("continue", 0)), int(query.get("limit", len(texts)))
        more = str(begin + limit) if begin + limit < len(texts) else ""
        head = {"kind": "List", "metadata": {"resourceVersion": str(self.version), "continue": more}}
        return json.dumps(head).encode()[:-1] + b', "items": [%s]}' % b",".join(texts[begin : begin + limit])


class _Server:
    def __init__(self, store: _Store, write_seconds: float) -> None:
        self._store, self._write_seconds = store, write_seconds
        self._created_at: dict[str, float] = {}  # the PhJobs that `POST /bench/jobs` created
        self._pod_seconds: list[float] = []
        self._kubelet: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
                length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
                body = json.loads(await reader.readexactly(length) or b"{}")
                url = urlsplit(target)
                query = dict(parse_qsl(url.query))
                if "watch" in query:
                    await self._watch(url.path, int(query["resourceVersion"]), writer)
                    return
                status, content = await self._answer(method, url.path, query, body)
                writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, method: str, path: str, query: Mapping[str, str], body: Document) -> tuple[int, bytes]:
        if path.startswith("/bench/"):
            return 200, self._create_jobs(int(query["count"])) if method == "POST" else self._progress()
        if method != "GET":
            await asyncio.sleep(self._write_seconds)
        try:
            if method == "POST":
                return 201, self._create(path, body)
            if method == "GET" and path in self._store.collections:
                return 200, self._store.list_page(path, query)
            if method == "GET":
                return 200, self._store.get(path)[1]
            path = path.removesuffix("/status")
            return 200, self._store.put(path, body if method == "PUT" else _merge(self._store.get(path)[0], body))
        except _NotFound:
            return 404, b'{"kind": "Status", "reason": "NotFound", "code": 404, "message": "not found"}'

    def _create(self, path: str, document: Document) -> bytes:
        name = document["metadata"]["name"]
        if path == _PODS:
            self._pod_seconds.append(time.monotonic() - self._created_at[name])
            document["metadata"]["annotations"]["primehub.io/artifact-sidecar"] = "injected"
            document["spec"]["initContainers"] = [{"name": "phjob-artifacts"}]
            task = asyncio.create_task(self._run_pod(f"{path}/{name}"))
            self._kubelet.add(task)
            task.add_done_callback(self._kubelet.discard)
        return self._store.put(f"{path}/{name}", document)

    async def _run_pod(self, path: str) -> None:
        running = {"running": {"startedAt": _now()}}
        ended = {"terminated": {**_ENDED["terminated"], "startedAt": _now(), "finishedAt": _now()}}
        sealed = {"terminated": {**ended["terminated"], "message": _SUMMARY}}
        for phase, main, sidecar in (
            ("Running", running, running),
            ("Running", ended, running),
            ("Succeeded", ended, sealed),
        ):
            await asyncio.sleep(_MAIN_SECONDS)
            status = {
                "phase": phase,
                "containerStatuses": [{"name": "main", "state": main}],
                "initContainerStatuses": [{"name": "phjob-artifacts", "state": sidecar}],
            }
            self._store.put(path, {**self._store.get(path)[0], "status": status})

    async def _watch(self, path: str, version: int, writer: asyncio.StreamWriter) -> None:
        events = self._store.collection(path).events
        writer.write(b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        while not writer.is_closing():
            lines = [line for number, line in events[sent:] if number > version]
            sent = len(events)
            if lines:
                block = b"".join(lines)
                writer.write(b"%x\r\n%s\r\n" % (len(block), block))
                await writer.drain()
            await asyncio.sleep(_WATCH_POLL_SECONDS)

    def _create_jobs(self, count: int) -> bytes:
        for _ in range(count):
            name = f"new-{len(self._created_at)}"
            self._created_at[name] = time.monotonic()
            self._store.put(f"{PHJOBS}/{name}", {"metadata": {}, "spec": _spec(name)})
        return b"{}"

    def _progress(self) -> bytes:
        jobs = (self._store.get(f"{PHJOBS}/{name}")[0] for name in self._created_at)
        ended = sum(job.get("status", {}).get("artifact", {}).get("state") == "sealed" for job in jobs)
        return json.dumps({"ended": ended, "pod_seconds": self._pod_seconds}).encode()


def _spec(name: str) -> Document:
    return {
        "displayName": name, "userId": "1", "userName": "bench", "groupId": "a", "groupName": "Team_A",
        "image": "docker.io/library/python:3.11", "command": "python train.py --epochs 20 " + "--option value " * 20,
    }  # fmt: skip


def _finished_job(number: int) -> Document:
    artifact = {"state": "sealed", "podUid": f"pod-{number}", "files": 12, "bytes": 3456, "expiredAt": 2_000_000_000}
    times = {"startTime": _now(), "finishTime": _now()}
    status = {"phase": "Succeeded", "reason": "PodSucceeded", "podName": f"job-{number}", "requeued": 0, **times}
    return {
        "metadata": {"annotations": {"note": "x" * 100}},
        "spec": _spec("done"),
        "status": status | {"artifact": artifact},
    }


def _merge(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        merged[name] = _merge(merged.get(name), value)
    return {name: value for name, value in merged.items() if value is not None}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


async def _main(finished_jobs: int, write_seconds: float) -> None:
    store = _Store()
    store.put("/api/v1/namespaces/ns", {})
    store.collection(_PODS)
    for number in range(finished_jobs):
        store.put(f"{PHJOBS}/job-{number}", _finished_job(number), with_event=False)
    server = await asyncio.start_server(_Server(store, write_seconds).serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]) / 1000))

"""An S3 server in memory with a delay, filled with job folders, to measure the cleanup.

It is not moto because moto needs more time for a request than the delay. It implements GET, HEAD, PUT, DELETE,
ListObjectsV2 and DeleteObjects for one bucket, without signatures.
"""

import asyncio
import bisect
import re
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

PAGE = 1000
JOBS = "jobArtifacts/"
_KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
_HEAD_END = b"\r\n\r\n"


class JobBucket:
    """Objects in memory: those below `groups/<group>/jobArtifacts/` by job folder, the others in one dictionary."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, dict[str, bytes]]] = {}
        self.others: dict[str, bytes] = {}
        self._sorted: dict[str, list[str]] = {}

    def fill(self, groups: int, jobs: int, files: dict[str, bytes]) -> None:
        """Add `jobs` job folders with the same `files`, spread over `groups` groups."""
        for number in range(jobs):
            group = self.groups.setdefault(f"groups/group-{number % groups:03}/{JOBS}", {})
            group[f"job-{number:07}/"] = dict(files)

    def get(self, key: str) -> bytes | None:
        """Return the content, or None."""
        objects, name = self._locate(key)
        return objects.get(name)

    def put(self, key: str, content: bytes) -> None:
        """Store the content."""
        objects, name = self._locate(key)
        objects[name] = content

    def delete(self, key: str) -> None:
        """Delete the object, and its job folder if it was the last one."""
        group, _, rest = key.partition(JOBS)
        jobs, job = self.groups.get(group + JOBS, {}), rest.partition("/")[0] + "/"
        objects, name = self._locate(key)
        objects.pop(name, None)
        if job in jobs and not jobs[job]:
            del jobs[job]

    def list(self, prefix: str, delimiter: str, after: str) -> Iterator[tuple[str, int | None]]:
        """Yield keys with sizes, and common prefixes with None, after the key `after`, in order."""
        group, _, rest = prefix.partition(JOBS)
        jobs = self.groups.get(group + JOBS)
        if jobs is None:
            yield from self._flat(prefix, delimiter, after)
        elif rest:
            folder = jobs.get(rest, {})
            yield from ((prefix + name, len(folder[name])) for name in sorted(folder) if prefix + name > after)
        else:
            names = self._sorted.setdefault(prefix, sorted(jobs))
            first = bisect.bisect_right(names, after.removeprefix(prefix))
            yield from ((prefix + name, None) for name in names[first:] if name in jobs)

    def _flat(self, prefix: str, delimiter: str, after: str) -> Iterator[tuple[str, int | None]]:
        found: dict[str, int | None] = {}
        for key in [*self.groups, *self.others]:
            if key.startswith(prefix) and key > after:
                head, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                found[prefix + head + slash if slash else key] = None if slash else len(self.others.get(key, b""))
        yield from sorted(found.items())

    def _locate(self, key: str) -> tuple[dict[str, bytes], str]:
        group, _, rest = key.partition(JOBS)
        job, slash, name = rest.partition("/")
        jobs = self.groups.get(group + JOBS)
        return (self.others, key) if jobs is None or not slash else (jobs.get(job + "/", {}), name)


class S3Connection(asyncio.Protocol):
    """One connection: answers each request after the delay."""

    def __init__(self, bucket: JobBucket, delay: float, counts: dict[str, int]) -> None:
        self._bucket, self._delay, self._counts = bucket, delay, counts
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is complete."""
        self._buffer += data
        head, found, rest = self._buffer.partition(_HEAD_END)
        if not found:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        self._buffer = rest[size:]
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        status, content, headers = self._answer(method, target, rest[:size])
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode()
        body = b"" if method == "HEAD" else content
        asyncio.get_running_loop().call_later(self._delay, self._transport.write, lines + body)

    def _answer(self, method: str, target: str, body: bytes) -> tuple[str, bytes, str]:
        url = urlsplit(target)
        key, query = unquote(url.path).removeprefix("/phfs").removeprefix("/"), parse_qs(url.query, True)
        kind = "LIST" if "list-type" in query else "DELETES" if "delete" in query else method
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if kind == "LIST":
            return "200 OK", self._page(query).encode(), "Content-Type: application/xml\r\n"
        if kind == "DELETES":
            keys = _KEY.findall(body)
            for found in keys:
                self._bucket.delete(unescape(found.decode()))
            deleted = b"".join(b"<Deleted><Key>%b</Key></Deleted>" % found for found in keys)
            return "200 OK", b"<DeleteResult>%b</DeleteResult>" % deleted, "Content-Type: application/xml\r\n"
        return self._object(method, key, body)

    def _object(self, method: str, key: str, body: bytes) -> tuple[str, bytes, str]:
        headers = f'ETag: "1"\r\nLast-Modified: {formatdate(time.time(), usegmt=True)}\r\n'
        if method == "PUT":
            self._bucket.put(key, body)
            return "200 OK", b"", headers
        if method == "DELETE":
            self._bucket.delete(key)
            return "204 No Content", b"", ""
        content = self._counts_text() if key == "counts" else self._bucket.get(key)
        return ("404 Not Found", b"", "") if content is None else ("200 OK", content, headers)

    def _counts_text(self) -> bytes:
        return " ".join(f"{kind}={count}" for kind, count in sorted(self._counts.items())).encode()

    def _page(self, query: dict[str, list[str]]) -> str:
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        limit = int(query.get("max-keys", [str(PAGE)])[0])
        parts, last, count = [], "", 0
        for key, size in self._bucket.list(prefix, delimiter, after):
            if count == limit:
                parts.append(f"<NextContinuationToken>{escape(last)}</NextContinuationToken>")
                break
            count, last = count + 1, key
            parts.append(_entry(key, size))
        truncated = str(bool(parts) and parts[-1].startswith("<Next")).lower()
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{''.join(parts)}</ListBucketResult>"


def _entry(key: str, size: int | None) -> str:
    if size is None:
        return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
    metadata = f"<LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>1</ETag><Size>{size}</Size>"
    return f"<Contents><Key>{escape(key)}</Key>{metadata}</Contents>"


async def _serve(delay: float, groups: int, jobs: int) -> None:
    bucket, counts = JobBucket(), dict[str, int]()
    past = b"%d\n" % (time.time() - 86400)
    expiries = {".metadata/expiredAt": past, ".primehub/metadata/expiredAt": past}
    metadata = {f".primehub/metadata/{name}": b"{}\n" for name in ("manifest.jsonl", "report.json")}
    bucket.fill(groups, jobs, {**{f"out/{number}.bin": b"x" * 100 for number in range(3)}, **expiries, **metadata})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: S3Connection(bucket, delay, counts), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]) / 1000, int(sys.argv[2]), int(sys.argv[3])))

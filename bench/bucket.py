"""A stand-in for an S3 bucket that takes its time: it answers listings of keys that it makes up, and counts them.

For measuring clients, not for telling whether they are right. A process of its own, so that it takes no share of
the measured one's time: `python -m bench.bucket FILES FOLDERS MILLISECONDS` prints its port.
"""

import bisect
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from bench.data import DataSet

PREFIX = "groups/g/jobArtifacts/job/"
_TOLD = "<LastModified>2026-11-24T19:39:06.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>8</Size>"


class _Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: list[str]
    latency_seconds: float
    lists = 0

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/lists":
            self._answer(str(_Bucket.lists))
            return
        _Bucket.lists += 1
        time.sleep(self.latency_seconds)
        self._answer(self._page({name: values[0] for name, values in parse_qs(url.query).items()}))

    def _page(self, query: dict[str, str]) -> str:
        after = query.get("continuation-token") or query.get("start-after", "")
        start = max(bisect.bisect_right(self.keys, after), bisect.bisect_left(self.keys, query.get("prefix", "")))
        page = self.keys[start : start + int(query.get("max-keys", "1000"))]
        more = start + len(page) < len(self.keys)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        entries = "".join(f"<Contents><Key>{key}</Key>{_TOLD}</Contents>" for key in page)
        truncated = "true" if more else "false"
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{entries}</ListBucketResult>"

    def _answer(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: it would be measured."""


def main() -> None:
    """Serve until killed."""
    files, folders, milliseconds = map(int, sys.argv[1:])
    _Bucket.keys = [PREFIX + path for path in sorted(DataSet("", files, 8, folders).paths())]
    _Bucket.latency_seconds = milliseconds / 1000
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bucket) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

"""A fake S3 bucket with a delay, which lists generated keys and counts the list requests. For benchmarks only.

It runs in its own process, so that it does not use the measured process' time:
`python -m bench.listing_server FILES FOLDERS MILLISECONDS` prints its port.
"""

import bisect
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from bench.data import DataSet

PREFIX = "groups/g/jobArtifacts/job/"
_METADATA = "<LastModified>2026-11-24T19:39:06.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>8</Size>"


class _ListingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: list[str]
    latency_seconds: float
    list_count = 0

    def do_GET(self) -> None:
        """Answer a list request, or `/lists` with the number of list requests so far."""
        url = urlsplit(self.path)
        if url.path == "/lists":
            self._send(str(_ListingHandler.list_count))
            return
        _ListingHandler.list_count += 1
        time.sleep(self.latency_seconds)
        self._send(self._page({name: values[0] for name, values in parse_qs(url.query).items()}))

    def _page(self, query: dict[str, str]) -> str:
        after = query.get("continuation-token") or query.get("start-after", "")
        start = max(bisect.bisect_right(self.keys, after), bisect.bisect_left(self.keys, query.get("prefix", "")))
        page = self.keys[start : start + int(query.get("max-keys", "1000"))]
        more = start + len(page) < len(self.keys)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        entries = "".join(f"<Contents><Key>{key}</Key>{_METADATA}</Contents>" for key in page)
        truncated = "true" if more else "false"
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{entries}</ListBucketResult>"

    def _send(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing, because that would be measured too."""


def main() -> None:
    """Serve until killed."""
    files, folders, milliseconds = map(int, sys.argv[1:])
    _ListingHandler.keys = [PREFIX + path for path in sorted(DataSet("", files, 8, folders).paths())]
    _ListingHandler.latency_seconds = milliseconds / 1000
    with ThreadingHTTPServer(("127.0.0.1", 0), _ListingHandler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

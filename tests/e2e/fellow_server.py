"""A mutating webhook that changes pods as their names ask for: fellow-CHANGE-once or fellow-CHANGE-again[.NUMBER].

Standard library only: it runs in a pod, beside the file with the changes. The API server calls /once at most once for a
pod, and /again once more if another webhook has changed the pod since.
"""

import base64
import copy
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

sys.path.append("/fellow")

from fellow_changes import DAMAGE, KEPT, WITHDRAWAL  # type: ignore[import-not-found]

CHANGES = {**DAMAGE, **KEPT, **WITHDRAWAL}


class Handler(BaseHTTPRequestHandler):
    """Answers reviews, and the kubelet's probes."""

    def do_GET(self) -> None:
        """Answer a probe."""
        self._answer({})

    def do_POST(self) -> None:
        """Answer a review with a patch that replaces the metadata and the spec."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        before, after = request["object"], copy.deepcopy(request["object"])
        prefix, _, rest = before["metadata"].get("name", "").partition("-")
        change, _, suffix = rest.rpartition("-")
        if prefix == "fellow" and self.path.partition("?")[0] == f"/{suffix.partition('.')[0]}":
            CHANGES[change](after)
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if after != before:
            patch = [{"op": "replace", "path": f"/{field}", "value": after[field]} for field in ("metadata", "spec")]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        self._answer({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
    server = ThreadingHTTPServer(("", 8443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""A small real OpenID Connect issuer on loopback, in the manner of Keycloak: discovery, keys, tokens, the code flow.

Tests can make it fail, hang, send endless responses or redirects, and change its keys.
"""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api.auth.codes import Codes

CLIENT, CLIENT_SECRET = "phjob-api", "s3cr3t-of-the-client"
CONSOLE, CONSOLE_SECRET = "admin-ui", "s3cr3t-of-the-console"  # the client that issues API tokens in PrimeHub
AUDIENCE = "hub"
_REFRESH_KEY = "the key of the issuer for its refresh tokens, as in Keycloak" * 2

_REALM = "/realms/hub"

# Every token and secret that a test made; none may be logged.
MADE: list[str] = [CLIENT_SECRET, CONSOLE_SECRET]

ResponseHandler = Callable[["_Handler"], None]


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return an RSA key, generated once per session."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if name == "weak" else 2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """Return the public key as an issuer publishes it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    published: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return published | {"kid": kid, "use": "sig"} | more


def signed(claims: dict[str, Any], key: Any, algorithm: str, **header: Any) -> str:
    token = jwt.encode(claims, key, algorithm, headers=header)
    MADE.append(token)
    return token


def unsigned(header: Any, claims: Any, signature: str = "") -> str:
    """Return a token of three segments with any header and claims."""

    def segment(value: Any) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    token = f"{segment(header)}.{segment(claims)}.{signature}"
    MADE.append(token)
    return token


class OidcServer:
    """The issuer. `handlers`: by path, replace the normal responses. `request_counts`: by path."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.oidc = self
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = f"{self.host}{_REALM}"
        self.published: list[Any] = [jwk("rsa-1", rsa_key("1")), jwk("ec-1", ec_key("1"))]
        self.discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/certs",
            "token_endpoint": f"{self.issuer}/token",
            "authorization_endpoint": f"{self.issuer}/auth",
            "end_session_endpoint": f"{self.issuer}/logout",
        }
        self.codes = Codes(self.token, self.id_token, MADE)
        self.client_secret: str | None = CLIENT_SECRET
        self.handlers: dict[str, ResponseHandler] = {}
        self.request_counts: Counter[str] = Counter()
        self.revoked: set[str] = set()
        self.access_claims: dict[str, Any] = {}
        self.may_end = threading.Event()

    def claims(self, **more: Any) -> dict[str, Any]:
        """Return an access token's claims as Keycloak writes them; None omits a claim."""
        now = int(time.time())
        ordinary = {
            "iss": self.issuer,
            "sub": "4f1c",
            "aud": "account",
            "azp": AUDIENCE,
            "typ": "Bearer",
            "iat": now,
            "exp": now + 300,
            "jti": "1",
            "preferred_username": "ann",
            "groups": ["/research", "/Team_A", "/a/b", "no group!", 7],
        }
        return {name: value for name, value in (ordinary | more).items() if value is not None}

    def token(self, *, kid: str = "rsa-1", **more: Any) -> str:
        """Return an access token."""
        if kid.startswith("ec"):
            return signed(self.claims(**more), ec_key("1"), "ES256", kid=kid)
        return signed(self.claims(**more), rsa_key("1"), "RS256", kid=kid)

    def id_token(self, claims: dict[str, Any]) -> str:
        """Return an ID token; None omits a claim."""
        return self.token(**claims)

    def offline(self, **more: Any) -> str:
        """Return an API token: an offline refresh token, which only the issuer can verify."""
        claims = {"iss": self.issuer, "aud": self.issuer, "sub": "4f1c", "typ": "Offline", "azp": CLIENT}
        return signed(claims | {"jti": str(time.monotonic_ns())} | more, _REFRESH_KEY, "HS512", kid="internal")

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the token endpoint's response to a form."""
        token = form.get("refresh_token", "")
        client = form.get("client_id", "")
        secrets = {CLIENT: self.client_secret, CONSOLE: CONSOLE_SECRET}
        if client not in secrets or form.get("client_secret") != secrets[client]:
            return 401, {"error": "unauthorized_client", "error_description": f"Invalid client for {token}"}
        if form["grant_type"] == "authorization_code":
            return self.codes.exchange(form)
        if token.count(".") != 2:
            return self.codes.refresh(form)
        try:
            claims = jwt.decode(token, _REFRESH_KEY, ["HS512"], audience=self.issuer)
        except jwt.PyJWTError:
            return 400, {"error": "invalid_grant", "error_description": f"Invalid refresh token {token}"}
        if claims["azp"] != client:
            return 400, {"error": "invalid_grant", "error_description": "Token client and authorized client differ"}
        if token in self.revoked:
            return 400, {"error": "invalid_grant", "error_description": "Offline user session not found"}
        access = self.token(**{"sub": claims["sub"], "azp": client} | self.access_claims)
        return 200, {"access_token": access, "expires_in": 300, "token_type": "Bearer", "refresh_token": token}

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        self.may_end.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def oidc_server() -> Iterator[OidcServer]:
    """Run an issuer."""
    server = OidcServer()
    thread = threading.Thread(target=server.serve, name="oidc")
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def status(code: int, body: bytes = b"{}", **headers: str) -> ResponseHandler:
    """Return a handler that responds with this status."""

    def respond(handler: "_Handler") -> None:
        handler.send(code, body, **headers)

    return respond


def hang(handler: "_Handler") -> None:
    """Do not respond until the server stops."""
    handler.server.oidc.may_end.wait(30)


def wait_then_fail(started: threading.Event, release: threading.Event) -> ResponseHandler:
    """Return a handler that sets `started`, and responds with 503 when `release` is set."""

    def respond(handler: "_Handler") -> None:
        started.set()
        release.wait(90)  # longer than a test's timeout
        handler.send(503, b"{}")

    return respond


def trickle(start: bytes) -> ResponseHandler:
    """Return a handler that sends `start`, then single bytes for ever."""

    def respond(handler: "_Handler") -> None:
        handler.wfile.write(start)
        while not handler.server.oidc.may_end.wait(0.02):
            handler.wfile.write(b"x")

    return respond


class _Server(ThreadingHTTPServer):
    oidc: OidcServer
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, as some tests do."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        oidc, url = self.server.oidc, urlsplit(self.path)
        redirects = {"/auth": oidc.codes.authorize, "/logout": oidc.codes.sign_out}
        if redirect := redirects.get(name := url.path.removeprefix(_REALM)):
            oidc.request_counts[name] += 1
            self._redirect(lambda: redirect(dict(parse_qsl(url.query, strict_parsing=True))))
            return
        documents = {"/.well-known/openid-configuration": oidc.discovery, "/certs": {"keys": oidc.published}}
        self._answer(lambda name: (200, documents[name]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
        self._answer(lambda _: self.server.oidc.exchange(form))

    def send(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, as tests search the log for tokens."""

    def _redirect(self, redirect: Callable[[], str]) -> None:
        """Redirect the browser, or show an error page."""
        try:
            self.send(302, b"", Location=redirect())
        except AssertionError as error:
            self.send(400, f"We are sorry: {error}".encode(), Content_Type="text/plain")

    def _answer(self, ordinary: Callable[[str], tuple[int, Any]]) -> None:
        name = self.path.removeprefix(_REALM)
        self.server.oidc.request_counts[name] += 1
        if name in self.server.oidc.handlers:
            self.server.oidc.handlers[name](self)
            return
        code, document = ordinary(name)
        self.send(code, json.dumps(document).encode(), Content_Type="application/json")

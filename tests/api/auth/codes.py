"""The code flow of the tests' issuer: it signs users in without a login page, but makes all of an issuer's checks."""

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

Answer = tuple[int, dict[str, Any]]
Query = dict[str, str]

_REFUSED: Answer = (400, {"error": "invalid_grant", "error_description": "Code not valid"})


class Codes:
    """`access(**claims)` makes an access token, `sign(claims)` an ID token; secrets are appended to `made`.

    `redirects`: the client's registered redirect URIs. `denies`: the error that every login returns. `seconds`: the
    lifetime of access tokens. `rotates`: whether a refresh token works once only. `id_claims`, `answer`: override the
    claims of the ID token and the fields of the token endpoint's response.
    """

    def __init__(self, access: Callable[..., str], sign: Callable[[dict[str, Any]], str], made: list[str]) -> None:
        self._access, self._sign, self._made = access, sign, made
        self._codes: dict[str, Query] = {}
        self._refresh_tokens: set[str] = set()
        self.redirects: set[str] = set()
        self.denies = ""
        self.seconds = 300
        self.rotates = True
        self.claims: dict[str, Any] = {}
        self.id_claims: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        self.authorization_requests: list[Query] = []
        self.sign_outs: list[Query] = []

    def authorize(self, query: Query) -> str:
        """Return the URL to redirect the browser to. Raises AssertionError if an issuer would show an error page."""
        self.authorization_requests.append(query)
        assert query["redirect_uri"] in self.redirects, "Invalid parameter: redirect_uri"
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        if self.denies:
            back = {"error": self.denies, "error_description": "<b>you</b> may not"}
        else:
            code = self._make()
            self._codes[code] = query
            back = {"code": code}
        return f"{query['redirect_uri']}?{urlencode(back | {'state': query['state'], 'session_state': 'x'})}"

    def exchange(self, form: Query) -> Answer:
        """Exchange a code, once, for tokens. The client has been checked."""
        request = self._codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        if request is None or challenge.decode() != request["code_challenge"]:
            return _REFUSED
        if (request["client_id"], request["redirect_uri"]) != (form["client_id"], form["redirect_uri"]):
            return _REFUSED
        return self._tokens(form["client_id"], request["nonce"])

    def refresh(self, form: Query) -> Answer:
        """Exchange a refresh token for new tokens."""
        if form["refresh_token"] not in self._refresh_tokens:
            return _REFUSED
        if self.rotates:
            self._refresh_tokens.remove(form["refresh_token"])
        return self._tokens(form["client_id"], "")

    def end_sessions(self) -> None:
        """Invalidate all refresh tokens, as if an administrator signed every user out."""
        self._refresh_tokens.clear()

    def sign_out(self, query: Query) -> str:
        """Return the URL to redirect the browser to."""
        self.sign_outs.append(query)
        back = query["post_logout_redirect_uri"]
        assert urlsplit(back).netloc in {urlsplit(uri).netloc for uri in self.redirects}
        self.end_sessions()
        return back

    def _tokens(self, client: str, nonce: str) -> Answer:
        now = int(time.time())
        access = self._access(**{"azp": client, "exp": now + self.seconds} | self.claims)
        half = hashlib.sha256(access.encode()).digest()[:16]
        identity = {"aud": client, "azp": client, "typ": "ID", "nonce": nonce, "exp": now + 300}
        identity["at_hash"] = urlsafe_b64encode(half).rstrip(b"=").decode()
        refresh_token = self._make()
        self._refresh_tokens.add(refresh_token)
        answer = {
            "access_token": access,
            "id_token": self._sign(identity | self.id_claims),
            "refresh_token": refresh_token,
            "expires_in": self.seconds,
            "token_type": "Bearer",
        } | self.answer
        return 200, {name: value for name, value in answer.items() if value is not None}

    def _make(self) -> str:
        made = secrets.token_urlsafe(32)
        self._made.append(made)
        return made

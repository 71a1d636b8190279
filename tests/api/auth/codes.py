"""The code flow of the tests' issuer: whoever asks is let in at once, but all that an issuer checks is checked."""

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
    """`access(**claims)` makes an access token, `sign(claims)` an ID token; `made` is told whatever is a secret.

    `redirects`: the client's registered addresses. `denies`: the error that everybody is sent back with. `seconds`:
    how long access tokens live. `rotates`: whether a refresh token works once. `id_claims`, `answer`: laid over what
    the ID token and the token endpoint say.
    """

    def __init__(self, access: Callable[..., str], sign: Callable[[dict[str, Any]], str], made: list[str]) -> None:
        self._access, self._sign, self._made = access, sign, made
        self._codes: dict[str, Query] = {}
        self._renewals: set[str] = set()
        self.redirects: set[str] = set()
        self.denies = ""
        self.seconds = 300
        self.rotates = True
        self.claims: dict[str, Any] = {}
        self.id_claims: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        self.asked: list[Query] = []

    def authorize(self, query: Query) -> str:
        """Where the browser is sent back to. Raises AssertionError for what an issuer shows a page of its own about."""
        self.asked.append(query)
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
        """What a code is exchanged for, once; its client has been checked."""
        asked = self._codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        if asked is None or challenge.decode() != asked["code_challenge"]:
            return _REFUSED
        if (asked["client_id"], asked["redirect_uri"]) != (form["client_id"], form["redirect_uri"]):
            return _REFUSED
        return self._tokens(form["client_id"], asked["nonce"])

    def renew(self, form: Query) -> Answer:
        """What a refresh token is exchanged for."""
        if form["refresh_token"] not in self._renewals:
            return _REFUSED
        if self.rotates:
            self._renewals.remove(form["refresh_token"])
        return self._tokens(form["client_id"], "")

    def end_sessions(self) -> None:
        """As when the administrator signs everybody out."""
        self._renewals.clear()

    def sign_out(self, query: Query) -> str:
        """Where the browser is sent back to."""
        back = query["post_logout_redirect_uri"]
        assert urlsplit(back).netloc in {urlsplit(each).netloc for each in self.redirects}
        self.end_sessions()
        return back

    def _tokens(self, client: str, nonce: str) -> Answer:
        now = int(time.time())
        access = self._access(**{"azp": client, "exp": now + self.seconds} | self.claims)
        half = hashlib.sha256(access.encode()).digest()[:16]
        identity = {"aud": client, "azp": client, "typ": "ID", "nonce": nonce, "exp": now + 300}
        identity["at_hash"] = urlsafe_b64encode(half).rstrip(b"=").decode()
        renewal = self._make()
        self._renewals.add(renewal)
        answer = {
            "access_token": access,
            "id_token": self._sign(identity | self.id_claims),
            "refresh_token": renewal,
            "expires_in": self.seconds,
            "token_type": "Bearer",
        } | self.answer
        return 200, {name: value for name, value in answer.items() if value is not None}

    def _make(self) -> str:
        made = secrets.token_urlsafe(32)
        self._made.append(made)
        return made

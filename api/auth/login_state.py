"""The state of a login between the redirect to the issuer and the callback, signed for verification by any replica."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import astuple, dataclass

from itsdangerous import BadData, URLSafeSerializer

LOGIN_SECONDS = 600
_SALT = "sign-in"  # the key also signs links; the salt prevents one from being accepted as the other


@dataclass(frozen=True)
class LoginState:
    """What the callback must match. `next_path`: the page to open after the login."""

    state: str
    nonce: str
    code_verifier: str
    next_path: str


class LoginStateSigner:
    """Encodes login states as signed text for a cookie.

    `key` must be the same on every replica; if it is empty, a random key of this process is used.
    """

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(key or secrets.token_bytes(32), _SALT, signer_kwargs=signing)
        self._clock = clock

    def encode(self, login: LoginState) -> str:
        """Return signed text that is valid for LOGIN_SECONDS."""
        return str(self._serializer.dumps([self._clock() + LOGIN_SECONDS, *astuple(login)]))

    def decode(self, text: str) -> LoginState | None:
        """Return the state, or None if the signature is invalid or the state has expired. Accepts hostile input."""
        try:
            expires_at, *fields = self._serializer.loads(text)
        except BadData:
            return None
        return LoginState(*fields) if self._clock() < expires_at else None

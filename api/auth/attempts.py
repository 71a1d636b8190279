"""What a browser takes along to the issuer and brings back: signed, so that any replica can tell that it is ours."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import astuple

from itsdangerous import BadData, URLSafeSerializer

from api.auth.signin import Attempt

SECONDS = 600
_SALT = "sign-in"  # the key signs links too: neither is ever taken for the other


class Attempts:
    """Packs attempts into text and back. `key`: the same on every replica; empty: one of this process's own."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(key or secrets.token_bytes(32), _SALT, signer_kwargs=signing)
        self._clock = clock

    def pack(self, attempt: Attempt) -> str:
        """Text for a cookie."""
        return str(self._serializer.dumps([self._clock() + SECONDS, *astuple(attempt)]))

    def unpack(self, text: str) -> Attempt | None:
        """The attempt; None where the text is not ours, or too old. Takes hostile input."""
        try:
            until, *fields = self._serializer.loads(text)
        except BadData:
            return None
        return Attempt(*fields) if self._clock() < until else None

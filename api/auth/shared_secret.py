"""A secret that a caller shares with the service: the services' own, or local mode's for one start."""

import hashlib
import hmac

from api.auth.caller import Caller
from api.errors import NotAuthenticated

SERVICE = Caller("service", "service", is_service=True)


class SharedSecretAuthenticator:
    """Takes whoever knows `secret` for `caller`. Digests are compared: in constant time, whatever the lengths."""

    def __init__(self, secret: bytes, caller: Caller = SERVICE) -> None:
        self._digest, self._caller = hashlib.sha256(secret).digest(), caller

    def authenticate(self, token: str) -> Caller:
        """The caller. Raises NotAuthenticated."""
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest):
            raise NotAuthenticated("the token is not accepted")
        return self._caller

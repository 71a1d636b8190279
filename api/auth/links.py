"""Signed download links that a browser can follow without a token: short-lived, and valid for one file of one job.

A link grants what its signer could see when it was signed. The signature covers the group, job, path and form of the
download. An invalid link gets a 401 before any lookup, so the response reveals neither the reason nor whether the file
exists. The page then creates a new link.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from api.auth.caller import Caller
from api.errors import NotAuthenticated
from api.files.target import DownloadTarget

SIGNATURE_PARAMETER = "signature"
_EXPIRES = re.compile(r"[0-9]{1,12}")


class LinkSigner:
    """Signs and verifies links.

    `key` must be the same on every replica; if it is empty, a random key of this process is used.
    """

    def __init__(self, key: bytes, seconds: int, clock: Callable[[], float]) -> None:
        self._key, self._seconds, self._clock = key or secrets.token_bytes(32), seconds, clock
        self._key_id = self._digest("key id")[:8]

    def sign(self, caller: Caller, target: DownloadTarget) -> str:
        """Return the path and query of a link to `target`. Check the caller's permission before the call."""
        user, expires = caller.username or caller.id, str(int(self._clock()) + self._seconds)
        fields = {"user": user, "expires": expires, "key": self._key_id}
        fields[SIGNATURE_PARAMETER] = self._signature(target, user, expires)
        return f"{target.url}?{urlencode(target.query | fields)}"

    def verify(self, target: DownloadTarget, query: Mapping[str, str]) -> Caller:
        """Return the signer of the link with this query, limited to the link's group. Raises NotAuthenticated."""
        names = ("user", "expires", "key", SIGNATURE_PARAMETER)
        user, expires, key_id, signature = (query.get(name, "") for name in names)
        expected = self._signature(target, user, expires)
        is_signed_here = key_id == self._key_id and hmac.compare_digest(expected.encode(), _bytes(signature))
        if not is_signed_here or not _EXPIRES.fullmatch(expires) or int(expires) <= self._clock():
            raise NotAuthenticated("this link is invalid or has expired; open the job's page for a new one")
        return Caller(id=user, username=user, groups=(target.group,))

    def _signature(self, target: DownloadTarget, user: str, expires: str) -> str:
        form = [target.archive, target.download]
        return self._digest("link", target.group, target.job, target.path, form, user, expires)

    def _digest(self, *parts: object) -> str:
        """Return the HMAC of the parts, encoded as JSON so that different lists cannot have the same text."""
        return hmac.new(self._key, _bytes(json.dumps(parts)), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

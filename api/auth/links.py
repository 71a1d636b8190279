"""LinkSigner that a browser can follow without a token: signed, short-lived, bound to one download of one job.

A link lets in to what its signer could see when it was signed, and to nothing else: it is looked at for downloads
alone, and the group, job, path and form that were signed are those of the request. What is wrong with a link is not
told, nor whether anything is there: it is 401 before anything is looked up, and the page makes a new one.
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
_TIME = re.compile(r"[0-9]{1,12}")


class LinkSigner:
    """Signs and checks links. `key`: the same on every replica; empty: one of this process's own."""

    def __init__(self, key: bytes, seconds: int, clock: Callable[[], float]) -> None:
        self._key, self._seconds, self._clock = key or secrets.token_bytes(32), seconds, clock
        self._key_id = self._digest("key id")[:8]

    def sign(self, caller: Caller, target: DownloadTarget) -> str:
        """The path and query with which a browser downloads `target` for `caller`, who has been found to may."""
        user, expires = caller.username or caller.id, str(int(self._clock()) + self._seconds)
        proof = {"user": user, "expires": expires, "key": self._key_id}
        signed = {SIGNATURE_PARAMETER: self._signature(target, user, expires)}
        return f"{target.url}?{urlencode(target.query | proof | signed)}"

    def verify(self, target: DownloadTarget, query: Mapping[str, str]) -> Caller:
        """Whoever signed the link with this query, with the rights it was signed for. Raises NotAuthenticated."""
        names = ("user", "expires", "key", SIGNATURE_PARAMETER)
        user, expires, key_id, signature = (query.get(name, "") for name in names)
        expected = self._signature(target, user, expires)
        is_ours = key_id == self._key_id and hmac.compare_digest(expected.encode(), _bytes(signature))
        if not is_ours or not _TIME.fullmatch(expires) or int(expires) <= self._clock():
            raise NotAuthenticated("this link does not work, or not any more: open the job's page for a new one")
        return Caller(id=user, username=user, groups=(target.group,))

    def _signature(self, target: DownloadTarget, user: str, expires: str) -> str:
        form = [target.archive, target.download]
        return self._digest("link", target.group, target.job, target.path, form, user, expires)

    def _digest(self, *parts: object) -> str:
        """Of the parts in a form in which no two lists of them look alike."""
        return hmac.new(self._key, _bytes(json.dumps(parts)), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

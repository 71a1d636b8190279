"""Authlib's OAuth client, whose requests go by `fetch`: of its own ones nothing bounds size and time as a whole, they
follow redirects with a secret in them, and do not know SSL_CERT_FILE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client

from api.auth.exchange import Client
from api.auth.fetch import Answer, Fetcher, FetchFailed

_SCOPE = "openid profile"


def oauth_client(client: Client, callback: str, fetcher: Fetcher) -> OAuth2Client:
    """A client for one request. Its methods raise FetchFailed beside Authlib's errors. `callback`: the whole URL."""
    return OAuth2Client(
        _Session(fetcher),
        client.id,
        client.secret,
        token_endpoint_auth_method="client_secret_post" if client.secret else "none",
        code_challenge_method="S256",
        redirect_uri=callback,
        scope=_SCOPE,
    )


class _Session:
    """What Authlib's client sends its requests with."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def post(self, url: str, data: Mapping[str, str], headers: Any, auth: ClientAuth) -> "_Response":
        _, _, form = auth.prepare("POST", url, headers, urlencode(data))
        return _Response(self._fetcher.post(url, dict(parse_qsl(form, keep_blank_values=True))))


@dataclass(frozen=True)
class _Response:
    """An answer as Authlib's client reads it."""

    answer: Answer

    @property
    def status_code(self) -> int:
        return self.answer.status

    def json(self) -> Mapping[str, Any]:
        return self.answer.document

    def raise_for_status(self) -> None:
        raise FetchFailed(f"it answered with status {self.answer.status}")

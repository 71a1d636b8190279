"""Authlib's OAuth client, with `fetch` as its transport.

Authlib's own transports limit neither size nor total time, follow redirects with a secret in the request, and ignore
SSL_CERT_FILE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client

from api.auth.exchange import OAuthClient
from api.auth.fetch import Fetcher, FetchError, JsonResponse

_SCOPE = "openid profile"


def oauth_client(client: OAuthClient, redirect_uri: str, fetcher: Fetcher) -> OAuth2Client:
    """Return a client for one request. Its methods raise FetchError in addition to Authlib's errors."""
    return OAuth2Client(
        _Transport(fetcher),
        client.id,
        client.secret,
        token_endpoint_auth_method="client_secret_post" if client.secret else "none",
        code_challenge_method="S256",
        redirect_uri=redirect_uri,
        scope=_SCOPE,
    )


class _Transport:
    """The part of a requests.Session that Authlib's client uses."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def post(self, url: str, data: Mapping[str, str], headers: Any, auth: ClientAuth) -> "_TransportResponse":
        _, _, form = auth.prepare("POST", url, headers, urlencode(data))
        return _TransportResponse(self._fetcher.post(url, dict(parse_qsl(form, keep_blank_values=True))))


@dataclass(frozen=True)
class _TransportResponse:
    """The part of a requests.Response that Authlib's client uses."""

    response: JsonResponse

    @property
    def status_code(self) -> int:
        return self.response.status

    def json(self) -> Mapping[str, Any]:
        return self.response.document

    def raise_for_status(self) -> None:
        raise FetchError(f"it answered with status {self.response.status}")

"""Services with fixed callers and with an issuer. No token, code or secret may be logged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.auth.tokens import Authenticators
from tests.api.auth.conftest import no_token_is_logged, oidc
from tests.api.auth.oidc_server import OidcServer
from tests.api.web.site import NameAuthenticator, Visitor, Web, oidc_settings, serving

ISSUER = "https://id.example.com"  # its tokens are accepted without verification

__all__ = ["no_token_is_logged", "oidc"]


@pytest.fixture
def authenticator() -> NameAuthenticator:
    return NameAuthenticator()


@pytest.fixture
def web(tmp_path: Path, authenticator: NameAuthenticator) -> Iterator[Web]:
    """A service in which a user's name is the token."""
    with serving(
        tmp_path, authenticators=Authenticators(opaque=authenticator, oidc=authenticator, issuer=ISSUER)
    ) as running:
        yield running


@pytest.fixture
def visitor(web: Web) -> Visitor:
    return web.visitor()


@pytest.fixture
def hub(tmp_path: Path, oidc: OidcServer) -> Iterator[Web]:
    """A service in which people sign in at the issuer."""
    with serving(tmp_path, oidc_settings(oidc)) as running:
        oidc.codes.redirects.add(f"{running.url}/api/session/callback")
        yield running


@pytest.fixture
def ann(hub: Web) -> Visitor:
    """A visitor with an account at the issuer."""
    return hub.visitor()

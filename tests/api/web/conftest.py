"""The service with known callers, and with an issuer. No token, code or secret may be in the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.auth.tokens import Authenticators
from tests.api.auth.conftest import no_token_is_logged, oidc
from tests.api.auth.oidc_server import OidcServer
from tests.api.web.site import Known, Visitor, Web, oidc_settings, serving

ISSUER = "https://id.example.com"  # whose tokens have no user that anything is asked about

__all__ = ["no_token_is_logged", "oidc"]


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def web(tmp_path: Path, known: Known) -> Iterator[Web]:
    """A service to which the name is the token."""
    with serving(tmp_path, authenticators=Authenticators(opaque=known, oidc=known, issuer=ISSUER)) as running:
        yield running


@pytest.fixture
def visitor(web: Web) -> Visitor:
    return web.visitor()


@pytest.fixture
def hub(tmp_path: Path, oidc: OidcServer) -> Iterator[Web]:
    """A service where people sign in at the issuer."""
    with serving(tmp_path, oidc_settings(oidc)) as running:
        oidc.codes.redirects.add(f"{running.url}/api/session/callback")
        yield running


@pytest.fixture
def ann(hub: Web) -> Visitor:
    """Somebody who has an account there."""
    return hub.visitor()

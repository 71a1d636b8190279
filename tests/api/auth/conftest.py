"""An issuer per test, and a check of every test here: no token is logged."""

import logging
from collections.abc import Iterator

import pytest

from tests.api.auth.oidc_server import MADE, OidcServer, oidc_server


@pytest.fixture
def oidc() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_token_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither a whole token nor its signature or claims, in a message or a traceback."""
    caplog.set_level(logging.DEBUG)
    yield
    formatter = logging.Formatter()
    text = "\n".join(formatter.format(record) for record in caplog.get_records("call"))
    parts = [part for made in MADE for part in made.split(".") if len(part) > 8]
    assert [part for part in parts if part in text] == []

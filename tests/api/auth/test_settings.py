"""What the settings take for an issuer, an origin and a secret."""

import pytest

from artifacts.errors import ConfigError
from tests.api.auth.service import settings

OIDC = {"PHJOB_API_AUTH": "oidc", "PHJOB_API_OIDC_AUDIENCES": "hub"}


def test_the_issuer_stays_exactly_as_in_its_tokens() -> None:
    assert settings(PHJOB_API_OIDC_ISSUER="https://id.example.com/", **OIDC).oidc_issuer == "https://id.example.com/"


@pytest.mark.parametrize("issuer", ["id.example.com", "file:///etc/passwd", "https://", "javascript:alert(1)"])
def test_an_issuer_is_a_url(issuer: str) -> None:
    with pytest.raises(ConfigError, match="PHJOB_API_OIDC_ISSUER"):
        settings(PHJOB_API_OIDC_ISSUER=issuer, **OIDC)


def test_origins_are_scheme_and_host() -> None:
    told = settings(PHJOB_API_CORS_ORIGINS="https://a.example.com, http://localhost:3000")
    assert told.cors_origins == ("https://a.example.com", "http://localhost:3000")
    assert (settings().origin, settings().cors_origins) == ("", ())


@pytest.mark.parametrize("name", ["PHJOB_API_ORIGIN", "PHJOB_API_CORS_ORIGINS"])
@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*", "https://*.example.com", "https://a/", "https://a/b", "a.example.com", "https://u@a"],
)
def test_what_is_no_origin_is_told(name: str, origin: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: origin})


@pytest.mark.parametrize("secret", ["short", "a" * 31, "a b" * 20, "caf\xe9" * 20, "a" * 40 + ",", "a" * 1025])
def test_a_secret_that_no_header_can_carry_is_told_without_it(secret: str) -> None:
    with pytest.raises(ConfigError, match="PHJOB_API_SHARED_SECRET") as told:
        settings(PHJOB_API_AUTH="secret", PHJOB_API_SHARED_SECRET=secret)
    assert secret not in str(told.value)

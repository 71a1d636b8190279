"""Which issuers, origins and secrets the settings accept."""

import pytest

from artifacts.errors import ConfigError
from tests.api.auth.service import settings

OIDC = {"PHJOB_API_AUTH": "oidc", "PHJOB_API_OIDC_AUDIENCES": "hub"}


def test_issuer_is_kept_verbatim() -> None:
    assert settings(PHJOB_API_OIDC_ISSUER="https://id.example.com/", **OIDC).oidc_issuer == "https://id.example.com/"


@pytest.mark.parametrize("issuer", ["id.example.com", "file:///etc/passwd", "https://", "javascript:alert(1)"])
def test_issuer_must_be_a_url(issuer: str) -> None:
    with pytest.raises(ConfigError, match="PHJOB_API_OIDC_ISSUER"):
        settings(PHJOB_API_OIDC_ISSUER=issuer, **OIDC)


def test_secret_of_an_exchange_client_without_its_id_is_reported() -> None:
    more = {"PHJOB_API_OIDC_ISSUER": "https://id.example.com", "PHJOB_API_OIDC_EXCHANGE_CLIENT_SECRET": "s3cr3t-of-it"}
    with pytest.raises(ConfigError, match="PHJOB_API_OIDC_EXCHANGE_CLIENT_ID") as raised:
        settings(**OIDC, **more)
    assert "s3cr3t-of-it" not in str(raised.value)


def test_origins_are_parsed() -> None:
    parsed = settings(PHJOB_API_CORS_ORIGINS="https://a.example.com, http://localhost:3000")
    assert parsed.cors_origins == ("https://a.example.com", "http://localhost:3000")
    assert (settings().origin, settings().cors_origins) == ("", ())


@pytest.mark.parametrize("name", ["PHJOB_API_ORIGIN", "PHJOB_API_CORS_ORIGINS"])
@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*", "https://*.example.com", "https://a/", "https://a/b", "a.example.com", "https://u@a"],
)
def test_invalid_origin_is_reported(name: str, origin: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: origin})


@pytest.mark.parametrize("secret", ["short", "a" * 31, "a b" * 20, "caf\xe9" * 20, "a" * 40 + ",", "a" * 1025])
def test_invalid_secret_is_reported_without_its_value(secret: str) -> None:
    with pytest.raises(ConfigError, match="PHJOB_API_SHARED_SECRET") as raised:
        settings(PHJOB_API_AUTH="secret", PHJOB_API_SHARED_SECRET=secret)
    assert secret not in str(raised.value)

"""Access tokens: which are accepted, and their users. With real tokens, a real issuer and real requests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from api.auth.tokens import make_authenticators
from tests.api.auth.oidc_server import (
    AUDIENCE,
    CLIENT,
    OidcServer,
    ec_key,
    jwk,
    public_pem,
    rsa_key,
    signed,
    unsigned,
)
from tests.api.auth.service import Service, serving, settings

ADMIN = {"realm-management": {"roles": ["view-users", "realm-admin"]}}


@pytest.fixture
def service(oidc: OidcServer) -> Iterator[Service]:
    configured = settings(
        PHJOB_API_AUTH="oidc",
        PHJOB_API_OIDC_ISSUER=oidc.issuer,
        PHJOB_API_OIDC_AUDIENCES=f"{AUDIENCE},{CLIENT}",
    )
    with serving(make_authenticators(configured, None)) as running:
        yield running


def test_user_comes_from_the_claims(service: Service, oidc: OidcServer) -> None:
    assert service.bearer(oidc.token()).json == {
        "id": "4f1c",
        "username": "ann",
        "groups": ["research", "Team_A"],
        "is_admin": False,
        "is_service": False,
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_is_case_insensitive(service: Service, oidc: OidcServer, scheme: str) -> None:
    assert service.ask(headers=[("Authorization", f"{scheme} {oidc.token()}")]).status == 200


def test_es256_and_a_user_without_a_name_are_accepted(service: Service, oidc: OidcServer) -> None:
    answer = service.bearer(oidc.token(kid="ec-1", preferred_username=None, groups=None))
    assert (answer.json["username"], answer.json["groups"]) == ("4f1c", [])


@pytest.mark.parametrize(
    ("roles", "is_admin"),
    [
        (ADMIN, True),
        ({"realm-management": {"roles": "realm-admin"}}, True),
        ({"realm-management": {"roles": ["realm-administrator"]}}, False),
        ({"realm-management": {"roles": [["realm-admin"]]}}, False),
        ({"realm-management": ["realm-admin"]}, False),
        ({"account": {"roles": ["realm-admin"]}}, False),
        ("realm-admin", False),
    ],
)
def test_only_the_configured_role_makes_an_administrator(
    service: Service, oidc: OidcServer, roles: Any, is_admin: bool
) -> None:
    assert service.bearer(oidc.token(resource_access=roles)).json["is_admin"] is is_admin


class Now(int):
    """Seconds relative to the time of the test."""


ACCEPTED: dict[str, dict[str, Any]] = {
    "aud alone": {"aud": AUDIENCE, "azp": None},
    "aud in a list": {"aud": ["account", AUDIENCE], "azp": None},
    "azp alone": {"aud": None},
    "expired within the leeway": {"exp": Now(-5)},
    "not yet valid within the leeway": {"nbf": Now(20)},
    "no typ": {"typ": None},
    "a nonce, as older Keycloaks write": {"nonce": "n"},
    "an absurd expiry": {"exp": 10**400},
}

REFUSED: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example.com/realms/hub"},
    "the issuer with a slash": {"iss": "{issuer}/"},
    "the issuer in a list": {"iss": ["{issuer}"]},
    "aud and azp of others": {"azp": "other"},
    "no aud and no azp": {"aud": None, "azp": None},
    "aud that only starts so": {"aud": AUDIENCE + "-2", "azp": None},
    "aud in an object": {"aud": {AUDIENCE: True}, "azp": None},
    "azp in a list": {"azp": [AUDIENCE]},
    "aud in a list in a list": {"aud": [[AUDIENCE]], "azp": None},
    "expired": {"exp": Now(-120)},
    "expiry that is a string": {"exp": "never"},
    "expiry NaN": {"exp": float("nan")},
    "expiry infinite": {"exp": float("inf")},
    "not valid yet": {"nbf": Now(3600)},
    "issued in the future": {"iat": Now(3600)},
    "no exp": {"exp": None},
    "no iat": {"iat": None},
    "no sub": {"sub": None},
    "sub empty": {"sub": ""},
    "sub with a line break": {"sub": "a\nb"},
    "sub not a string": {"sub": 7},
    "no iss": {"iss": None},
    "an ID token": {"typ": "ID", "aud": AUDIENCE},
    "an ID token of another make": {"typ": None, "aud": AUDIENCE, "at_hash": "x"},
    "a logout token": {"typ": "Logout", "aud": AUDIENCE},
    "a token bound to a key": {"typ": "DPoP"},
    "a token bound to a certificate": {"cnf": {"x5t#S256": "x"}},
    "typ not a string": {"typ": ["Bearer"]},
    "a refresh token with no client to exchange it": {"typ": "Refresh"},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_valid_token_is_accepted(service: Service, oidc: OidcServer, case: str) -> None:
    assert service.bearer(oidc.token(**filled(ACCEPTED[case], oidc.issuer))).status == 200


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_token_is_refused(service: Service, oidc: OidcServer, case: str) -> None:
    refused = service.bearer(signed_unchecked(oidc.claims(**filled(REFUSED[case], oidc.issuer))))
    assert (refused.status, refused.json["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def signed_unchecked(claims: dict[str, Any]) -> str:
    """A correctly signed token with claims that PyJWT would refuse to sign."""
    start = unsigned({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}, claims).rpartition(".")[0]
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    signature = jwt.utils.base64url_encode(algorithm.sign(start.encode(), rsa_key("1")))
    return f"{start}.{signature.decode()}"


def filled(claims: dict[str, Any], issuer: str) -> dict[str, Any]:
    """Return the claims with the issuer and the current time filled in."""
    return {name: fill(value, issuer) for name, value in claims.items()}


def fill(value: Any, issuer: str) -> Any:
    if isinstance(value, Now):
        return int(time.time()) + value
    if isinstance(value, str):
        return value.replace("{issuer}", issuer)
    return [fill(member, issuer) for member in value] if isinstance(value, list) else value


FORGED: dict[str, Callable[[OidcServer], str]] = {
    "unsigned": lambda oidc: unsigned({"alg": "none", "kid": "rsa-1"}, oidc.claims()),
    "unsigned in capitals": lambda oidc: unsigned({"alg": "None", "kid": "rsa-1"}, oidc.claims(), "AAAA"),
    "no algorithm": lambda oidc: unsigned({"kid": "rsa-1"}, oidc.claims(), "AAAA"),
    "algorithms in a list": lambda oidc: unsigned({"alg": ["RS256"], "kid": "rsa-1"}, oidc.claims(), "AAAA"),
    "another key of the same id": lambda oidc: signed(oidc.claims(), rsa_key("2"), "RS256", kid="rsa-1"),
    "a key that is not published": lambda oidc: signed(oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2"),
    "the other algorithm with the key's id": lambda oidc: signed(oidc.claims(), ec_key("1"), "ES256", kid="rsa-1"),
    "an algorithm that is not accepted": lambda oidc: signed(oidc.claims(), rsa_key("1"), "RS512", kid="rsa-1"),
    "no key named": lambda oidc: signed(oidc.claims(), rsa_key("1"), "RS256"),
    "a path for a key": lambda oidc: signed(oidc.claims(), rsa_key("2"), "RS256", kid="../../../../dev/null"),
    "a URL for a key": lambda oidc: signed(oidc.claims(), rsa_key("2"), "RS256", kid=oidc.host + "/mine"),
    "a number for a key": lambda oidc: unsigned({"alg": "RS256", "kid": 1}, oidc.claims(), "AAAA"),
    "its own key within": lambda oidc: signed(
        oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2", jwk=jwk("rsa-2", rsa_key("2"))
    ),
    "its own key elsewhere": lambda oidc: signed(
        oidc.claims(), rsa_key("2"), "RS256", kid="rsa-2", jku=oidc.host + "/mine", x5u=oidc.host + "/mine"
    ),
    "a type of another token": lambda oidc: signed(oidc.claims(), rsa_key("1"), "RS256", kid="rsa-1", typ="logout+jwt"),
    "an extension it must know": lambda oidc: signed(
        oidc.claims(), rsa_key("1"), "RS256", kid="rsa-1", crit=["exp"], exp=1
    ),
    "a signature cut short": lambda oidc: oidc.token()[:-20],
    "claims of another token": lambda oidc: _spliced(oidc.token(), oidc.token(resource_access=ADMIN)),
}


def _spliced(token: str, other: str) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{other.split('.')[1]}.{signature}"


@pytest.mark.parametrize("case", FORGED)
def test_forged_token_is_refused(service: Service, oidc: OidcServer, case: str) -> None:
    assert service.bearer(FORGED[case](oidc)).status == 401
    assert oidc.request_counts["/mine"] == 0


def test_public_key_is_not_accepted_as_an_hmac_secret(service: Service, oidc: OidcServer) -> None:
    for secret in (public_pem(rsa_key("1")), jwt.utils.base64url_decode(jwk("", rsa_key("1"))["n"])):
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        start = unsigned({"alg": "HS256", "kid": "rsa-1"}, oidc.claims()).rpartition(".")[0]
        signature = jwt.utils.base64url_encode(algorithm.sign(start.encode(), secret)).decode()
        assert service.bearer(f"{start}.{signature}").status == 401


def test_published_key_that_is_too_short_is_refused(service: Service, oidc: OidcServer) -> None:
    oidc.published.append(jwk("weak", rsa_key("weak")))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(oidc.claims(), rsa_key("weak"), "RS256", kid="weak")
    assert service.bearer(token).status == 401


def test_keys_for_other_uses_are_refused(service: Service, oidc: OidcServer) -> None:
    oidc.published.append(jwk("enc", rsa_key("2"), use="enc"))
    oidc.published.append({"kty": "oct", "kid": "oct", "k": jwt.utils.base64url_encode(b"k" * 32).decode()})
    assert service.bearer(signed(oidc.claims(), rsa_key("2"), "RS256", kid="enc")).status == 401
    assert service.bearer(signed(oidc.claims(), "k" * 32, "HS256", kid="oct")).status == 401


@pytest.mark.parametrize(
    ("header", "case"),
    [
        ("Bearer", "no token"),
        ("Bearer ", "no token"),
        ("Basic YTpi", "another scheme"),
        ("", "empty"),
        ("Bearer a b", "a space within"),
        ("Bearer a\tb", "a tab within"),
        ("Bearer caf\xe9", "not ASCII"),
        ("Bearer a\x00b", "NUL"),
        ("Bearer a,b", "a comma"),
        ("Bearer " + "a" * 16385, "too long"),
    ],
)
def test_malformed_header_is_refused(service: Service, header: str, case: str) -> None:
    assert service.ask(headers=[("Authorization", header)]).status == 401, case


def test_two_valid_headers_are_refused(service: Service, oidc: OidcServer) -> None:
    header = ("Authorization", f"Bearer {oidc.token()}")
    assert service.ask(headers=[header]).status == 200
    assert service.ask(headers=[header, header]).status == 401


def test_missing_token_is_refused_with_instructions(service: Service) -> None:
    answer = service.ask()
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in answer.json["error"]["message"]

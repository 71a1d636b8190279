"""Access tokens of an OpenID Connect issuer: whether one is to be believed, and who its user is."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from api.auth.caller import Caller
from api.auth.claims import Claims
from api.auth.fetch import FetchFailed
from api.auth.issuer import ALGORITHMS, Issuer
from api.errors import NotAuthenticated, ServiceUnavailable

LEEWAY_SECONDS = 30
_FOR_EVER = 2**53  # an issuer may write more, which no clock can count with
_REQUIRED = ("exp", "iat", "iss", "sub")

# What an access token calls itself, if anything: in its header, and in its claims as Keycloak does, whose ID tokens
# (typ ID), refresh tokens and tokens bound to a key that the sender must prove (DPoP) are signed by the same keys.
_HEADER_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
_CLAIM_TYPES = (None, "bearer", "jwt")
# Only an ID token holds these. (`nonce` tells nothing: Keycloak's access tokens had it for years.)
_ID_TOKEN_CLAIMS = frozenset(("at_hash", "c_hash"))


@dataclass(frozen=True)
class Verified:
    """The owner of a token that was checked, and when it expires, UNIX seconds."""

    caller: Caller
    expires_at: int


class OidcAuthenticator:
    """Believes the issuer's access tokens for one of `audiences`, by `aud` or `azp`: Keycloak often tells the client
    by `azp` alone."""

    def __init__(self, issuer: Issuer, audiences: Collection[str], claims: Claims) -> None:
        self._issuer, self._audiences, self._claims = issuer, frozenset(audiences), claims

    def authenticate(self, token: str) -> Caller:
        """The token's user. Raises NotAuthenticated, and ServiceUnavailable where the issuer's keys cannot be had."""
        return self.verify(token).caller

    def verify(self, token: str) -> Verified:
        """The same, and for how long."""
        header, claims = read_signed(self._issuer, token)
        self._check_kind(header, claims)
        self._check_audience(claims)
        caller = self._claims.caller(claims)
        if caller is None:
            raise NotAuthenticated("the token names no user (sub)")
        return Verified(caller, min(int(claims["exp"]), _FOR_EVER))

    def _check_kind(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        kinds = _lower(header.get("typ")), _lower(claims.get("typ"))
        if kinds[0] not in _HEADER_TYPES or kinds[1] not in _CLAIM_TYPES or _ID_TOKEN_CLAIMS & claims.keys():
            raise NotAuthenticated("the token is of another kind: send an access token")
        if "cnf" in claims:
            raise NotAuthenticated("the token is bound to its sender's key, which cannot be checked here")

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        aud = claims.get("aud")
        named = [*(aud if isinstance(aud, list) else [aud]), claims.get("azp")]
        if not any(isinstance(each, str) and each in self._audiences for each in named):
            raise NotAuthenticated("the token was issued for another service (see its aud and azp)")


def read_signed(issuer: Issuer, token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims of a token of any kind that `issuer` has signed and that is valid now.

    Raises NotAuthenticated, and ServiceUnavailable where the issuer's keys cannot be had.
    """
    with _refusing():
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(
            token,
            _find_key(issuer, header.get("kid")),
            algorithms=ALGORITHMS,
            issuer=issuer.name,
            leeway=LEEWAY_SECONDS,
            options={"require": list(_REQUIRED), "verify_aud": False, "enforce_minimum_key_length": True},
        )
    return header, claims


def _find_key(issuer: Issuer, kid: Any) -> jwt.PyJWK:
    """The issuer's key of that id. What else a token's header says of keys (jwk, jku, x5u) is not looked at."""
    if not isinstance(kid, str):
        raise NotAuthenticated("the token names no key (kid)")
    try:
        key = issuer.key(kid)
    except FetchFailed as error:
        raise ServiceUnavailable(
            "the issuer's keys cannot be read now, so tokens cannot be checked; try again"
        ) from error
    if key is None:
        raise NotAuthenticated("the token is signed by a key that is not the issuer's; sign in again")
    return key


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Tell what PyJWT finds wrong in words of our own: its texts quote the token."""
    try:
        yield
    except jwt.ExpiredSignatureError:
        raise NotAuthenticated("the token has expired; get a new one") from None
    except jwt.ImmatureSignatureError:
        raise NotAuthenticated("the token is not valid yet; see whether the clocks are right") from None
    except jwt.MissingRequiredClaimError as error:
        raise NotAuthenticated(f"the token lacks the claim {error.claim}") from None
    except jwt.InvalidAlgorithmError:
        raise NotAuthenticated(f"the token's algorithm is not accepted; use {' or '.join(ALGORITHMS)}") from None
    except jwt.PyJWTError:
        raise NotAuthenticated("the token is not accepted; sign in again") from None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value

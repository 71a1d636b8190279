"""Verifies the access tokens of an OpenID Connect issuer."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from api.auth.caller import Caller
from api.auth.claims import ClaimMapping
from api.auth.fetch import FetchError
from api.auth.issuer import ALGORITHMS, Issuer
from api.errors import NotAuthenticated, ServiceUnavailable

LEEWAY_SECONDS = 30
_MAX_EXPIRY = 2**53  # clamps absurd `exp` values, which a float cannot represent
_REQUIRED = ("exp", "iat", "iss", "sub")

# The types that an access token may declare, if any, in its header (RFC 9068) and in its claims (Keycloak). Keycloak
# signs ID tokens (typ ID), refresh tokens and key-bound tokens (DPoP) with the same keys.
_HEADER_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
_CLAIM_TYPES = (None, "bearer", "jwt")
# Claims that only ID tokens have. `nonce` is not one of them: Keycloak's access tokens had it for years.
_ID_TOKEN_CLAIMS = frozenset(("at_hash", "c_hash"))


@dataclass(frozen=True)
class VerifiedToken:
    """The owner and the expiry (UNIX seconds) of a verified token."""

    caller: Caller
    expires_at: int


class OidcAuthenticator:
    """Accepts the issuer's access tokens for one of `audiences`.

    The audience may be in `aud` or `azp`: Keycloak often names the client in `azp` only.
    """

    def __init__(self, issuer: Issuer, audiences: Collection[str], claims: ClaimMapping) -> None:
        self._issuer, self._audiences, self._claims = issuer, frozenset(audiences), claims

    def authenticate(self, token: str) -> Caller:
        """Return the token's user. Raises NotAuthenticated, or ServiceUnavailable if the keys cannot be fetched."""
        return self.verify(token).caller

    def verify(self, token: str) -> VerifiedToken:
        """Return the token's user and expiry. Raises as `authenticate` does."""
        header, claims = decode_signed(self._issuer, token)
        self._check_type(header, claims)
        self._check_audience(claims)
        caller = self._claims.to_caller(claims)
        if caller is None:
            raise NotAuthenticated("invalid token: it has no user (sub)")
        return VerifiedToken(caller, min(int(claims["exp"]), _MAX_EXPIRY))

    def _check_type(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        header_type, claim_type = _lower(header.get("typ")), _lower(claims.get("typ"))
        is_access_token = header_type in _HEADER_TYPES and claim_type in _CLAIM_TYPES
        if not is_access_token or _ID_TOKEN_CLAIMS & claims.keys():
            raise NotAuthenticated("invalid token: it is not an access token; send an access token")
        if "cnf" in claims:
            raise NotAuthenticated("invalid token: it is bound to a key (cnf), which is not supported")

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        aud = claims.get("aud")
        audiences = [*(aud if isinstance(aud, list) else [aud]), claims.get("azp")]
        if not any(isinstance(audience, str) and audience in self._audiences for audience in audiences):
            raise NotAuthenticated("invalid token: it was issued for another service (see its aud and azp)")


def decode_signed(
    issuer: Issuer, token: str, *, allow_expired: bool = False
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Verify the signature, issuer and times of a token of any type, and return its header and claims.

    Raises:
        NotAuthenticated: the token is invalid.
        ServiceUnavailable: the issuer's keys cannot be fetched.
    """
    with _translate_jwt_errors():
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(
            token,
            _find_key(issuer, header.get("kid")),
            algorithms=ALGORITHMS,
            issuer=issuer.url,
            leeway=LEEWAY_SECONDS,
            options={
                "require": list(_REQUIRED),
                "verify_aud": False,
                "verify_exp": not allow_expired,
                "enforce_minimum_key_length": True,
            },
        )
    return header, claims


def _find_key(issuer: Issuer, kid: Any) -> jwt.PyJWK:
    """Return the issuer's key with that id. Keys in or linked from the token's header (jwk, jku, x5u) are ignored."""
    if not isinstance(kid, str):
        raise NotAuthenticated("invalid token: its header has no key id (kid)")
    try:
        key = issuer.key(kid)
    except FetchError as error:
        raise ServiceUnavailable(
            "the token cannot be checked because the issuer's keys cannot be fetched; retry later"
        ) from error
    if key is None:
        raise NotAuthenticated("invalid token: the issuer does not publish the key that signed it; sign in again")
    return key


@contextlib.contextmanager
def _translate_jwt_errors() -> Iterator[None]:
    """Replace PyJWT's errors: their texts quote the token."""
    try:
        yield
    except jwt.ExpiredSignatureError:
        raise NotAuthenticated("the token has expired; get a new one") from None
    except jwt.ImmatureSignatureError:
        raise NotAuthenticated("the token is not valid yet; check the clocks of the issuer and this service") from None
    except jwt.MissingRequiredClaimError as error:
        raise NotAuthenticated(f"invalid token: the claim {error.claim} is missing") from None
    except jwt.InvalidAlgorithmError:
        raise NotAuthenticated(f"invalid token: its algorithm must be {' or '.join(ALGORITHMS)}") from None
    except jwt.PyJWTError:
        raise NotAuthenticated("invalid token; sign in again") from None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value

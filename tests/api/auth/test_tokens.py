"""A token's form selects one authenticator, whose decision is final."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api.auth.caller import Authenticator, Caller
from api.auth.tokens import (
    ANONYMOUS_ADMIN,
    MAX_TOKEN_BYTES,
    SERVICE,
    Authenticators,
    SharedSecretAuthenticator,
    make_authenticators,
)
from api.auth.unverified import unverified_claims
from api.errors import NotAuthenticated
from tests.api.auth.oidc_server import OidcServer, unsigned
from tests.api.auth.service import Spy, settings

ISSUER = "https://id.example.com/realms/hub"
CLUSTER = "https://kubernetes.default.svc"
SECRET = "0123456789abcdef0123456789abcdef"

TOKENS: dict[str, tuple[str, str | None]] = {
    "an access token": (unsigned({"alg": "RS256"}, {"iss": ISSUER, "typ": "Bearer"}, "AAAA"), "oidc"),
    "an ID token": (unsigned({"alg": "RS256"}, {"iss": ISSUER, "typ": "ID"}, "AAAA"), "oidc"),
    "without a signature": (unsigned({"alg": "none"}, {"iss": ISSUER}), "oidc"),
    "an offline token": (unsigned({"alg": "HS512"}, {"iss": ISSUER, "typ": "Offline"}, "AAAA"), "exchange"),
    "a refresh token": (unsigned({"alg": "HS512"}, {"iss": ISSUER, "typ": "Refresh"}, "AAAA"), "exchange"),
    "another issuer's offline token": (unsigned({}, {"iss": CLUSTER, "typ": "Offline"}, "AAAA"), None),
    "an offline token without an issuer": (unsigned({}, {"typ": "Offline"}, "AAAA"), None),
    "a service account's token": (unsigned({"alg": "RS256"}, {"iss": CLUSTER}, "AAAA"), "kubernetes"),
    "an issuer that starts like ours": (unsigned({}, {"iss": ISSUER + "/"}, "AAAA"), "kubernetes"),
    "our issuer in a list": (unsigned({}, {"iss": [ISSUER]}, "AAAA"), "kubernetes"),
    "no issuer": (unsigned({}, {}, "AAAA"), "kubernetes"),
    "the last of two issuers counts": (unsigned({}, b'{"iss":"%s","iss":"x"}' % ISSUER.encode(), "AAAA"), "kubernetes"),
    "plain text": (SECRET, "opaque"),
    "text with dots": ("a.b.c", "opaque"),
    "claims in a list": (unsigned({}, [ISSUER], "AAAA"), "opaque"),
    "a header in a list": (unsigned([], {"iss": ISSUER}, "AAAA"), "opaque"),
    "claims too deep": (unsigned({}, b"[" * 10_000, "AAAA"), "opaque"),
    "claims with a number too long": (unsigned({}, b'{"exp": ' + b"9" * 9_000 + b"}", "AAAA"), "opaque"),
    "claims that are not UTF-8": (unsigned({}, b'{"iss": "\xff"}', "AAAA"), "opaque"),
    "an encrypted token": ("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "opaque"),
}


def spied(spies: dict[str, Spy], issuer: str = ISSUER, opaque: Authenticator | None = None) -> Authenticators:
    """Authenticators made of the spies, each under its name."""
    return Authenticators(
        issuer=issuer,
        oidc=spies.get("oidc"),
        exchange=spies.get("exchange"),
        kubernetes=spies.get("kubernetes"),
        opaque=opaque or spies.get("opaque"),
    )


@pytest.mark.parametrize("answer", [Caller("4f1c", "ann"), None], ids=["accepted", "refused"])
@pytest.mark.parametrize("case", TOKENS)
def test_token_form_selects_one_authenticator_whose_decision_is_final(case: str, answer: Caller | None) -> None:
    token, selected = TOKENS[case]
    spies = {name: Spy(answer) for name in ("oidc", "exchange", "kubernetes", "opaque")}
    authenticators = spied(spies)
    if answer and selected:
        assert authenticators.authenticate(token) == answer
    else:
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(token)
    assert {name: spy.received_tokens for name, spy in spies.items() if spy.received_tokens} == (
        {selected: [token]} if selected else {}
    )


@pytest.mark.parametrize("case", TOKENS)
def test_token_for_a_disabled_authenticator_is_shown_to_no_other(case: str) -> None:
    token, selected = TOKENS[case]
    spies = {
        name: Spy(Caller("4f1c", "ann")) for name in ("oidc", "exchange", "kubernetes", "opaque") if name != selected
    }
    with pytest.raises(NotAuthenticated):
        spied(spies).authenticate(token)
    assert not [name for name, spy in spies.items() if spy.received_tokens]


def test_without_an_issuer_no_token_goes_to_oidc() -> None:
    spies = {name: Spy() for name in ("oidc", "exchange", "kubernetes")}
    for claims in ({"iss": ""}, {"iss": "", "typ": "Offline"}):
        with pytest.raises(NotAuthenticated):
            spied(spies, issuer="").authenticate(unsigned({}, claims, "AAAA"))
    assert [name for name, spy in spies.items() if spy.received_tokens] == ["kubernetes"]


@pytest.mark.parametrize(
    "token",
    ["", " ", "a b", "a\n", "\x00", "a\x00", "caf\xe9", "\ud800", "a,b", '"a"', "a" * (MAX_TOKEN_BYTES + 1), "\u0661"],
    ids=repr,
)
def test_malformed_token_is_shown_to_no_authenticator(token: str) -> None:
    spies = {name: Spy(Caller("4f1c", "ann")) for name in ("oidc", "exchange", "kubernetes", "opaque")}
    with pytest.raises(NotAuthenticated):
        spied(spies).authenticate(token)
    assert not [name for name, spy in spies.items() if spy.received_tokens]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ISSUER, "Offline"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["iss", "typ"]), inner),
    max_leaves=8,
)
_SEGMENTS = st.binary() | _JSON.map(lambda value: json.dumps(value).encode())


@hypothesis_settings(deadline=None, max_examples=200)
@given(
    st.text()
    | st.text("ab._-=AB{}", max_size=40)
    | st.builds(lambda head, body: unsigned(head, body, "AA"), _SEGMENTS, _SEGMENTS)
)
def test_any_text_is_only_refused(token: str) -> None:
    spies = {name: Spy() for name in ("oidc", "exchange", "kubernetes")}
    with pytest.raises(NotAuthenticated):
        spied(spies, opaque=SharedSecretAuthenticator(SECRET.encode())).authenticate(token)
    assert sum(len(spy.received_tokens) for spy in spies.values()) <= 1
    unverified_claims(token)


def test_shared_secret_authenticates_a_service_that_changes_nothing() -> None:
    authenticators = make_authenticators(settings(PHJOB_API_AUTH="secret", PHJOB_API_SHARED_SECRET=SECRET), Spy())
    assert authenticators.authenticate(SECRET) == SERVICE
    assert (SERVICE.can_see("a"), SERVICE.can_change("a")) == (True, False)
    for wrong in (SECRET[:-1], SECRET + "a", SECRET.upper(), "a"):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(wrong)


def test_auth_none_makes_every_caller_an_administrator() -> None:
    authenticators = make_authenticators(settings(), Spy())
    assert authenticators.anonymous == authenticators.authenticate("anything") == ANONYMOUS_ADMIN
    assert ANONYMOUS_ADMIN.is_admin


def test_only_configured_authenticators_are_used(oidc: OidcServer) -> None:
    kubernetes = Spy(Caller("sa", "sa"))
    configured = settings(
        PHJOB_API_AUTH="secret",
        PHJOB_API_SHARED_SECRET=SECRET,
        PHJOB_API_OIDC_ISSUER=oidc.issuer,
        PHJOB_API_OIDC_AUDIENCES="hub",
    )
    authenticators = make_authenticators(configured, kubernetes)
    assert authenticators.anonymous is None
    for token in (oidc.token(), oidc.offline(), unsigned({}, {"iss": CLUSTER}, "AAAA")):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(token)
    assert not kubernetes.received_tokens
    assert not oidc.request_counts


def test_kubernetes_and_issuer_tokens_are_separate(oidc: OidcServer) -> None:
    kubernetes = Spy(Caller("sa", "sa"))
    configured = settings(
        PHJOB_API_AUTH="oidc,kubernetes", PHJOB_API_OIDC_ISSUER=oidc.issuer, PHJOB_API_OIDC_AUDIENCES="hub"
    )
    authenticators = make_authenticators(configured, kubernetes)
    assert authenticators.authenticate(oidc.token()).username == "ann"
    for refused in (oidc.token(azp="other"), oidc.offline(), SECRET):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(refused)
    assert not kubernetes.received_tokens
    token = unsigned({}, {"iss": CLUSTER}, "AAAA")
    assert authenticators.authenticate(token).username == "sa"
    assert kubernetes.received_tokens == [token]

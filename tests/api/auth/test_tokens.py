"""A token's form picks one authenticator, and what that one says stands."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from api.auth.caller import Authenticator, Caller
from api.auth.shared_secret import SERVICE, SharedSecretAuthenticator
from api.auth.tokens import ANONYMOUS_ADMIN, MAX_TOKEN_BYTES, Authenticators, make_authenticators, unverified_claims
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
    "nobody's offline token": (unsigned({}, {"typ": "Offline"}, "AAAA"), None),
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
    "claims that are no UTF-8": (unsigned({}, b'{"iss": "\xff"}', "AAAA"), "opaque"),
    "an encrypted token": ("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "opaque"),
}


def spied(spies: dict[str, Spy], issuer: str = ISSUER, opaque: Authenticator | None = None) -> Authenticators:
    """The spies, each in the place of its name."""
    return Authenticators(
        issuer=issuer,
        oidc=spies.get("oidc"),
        exchange=spies.get("exchange"),
        kubernetes=spies.get("kubernetes"),
        opaque=opaque or spies.get("opaque"),
    )


@pytest.mark.parametrize("answer", [Caller("4f1c", "ann"), None], ids=["believed", "refused"])
@pytest.mark.parametrize("case", TOKENS)
def test_the_form_picks_one_and_no_second_one_is_asked(case: str, answer: Caller | None) -> None:
    token, picked = TOKENS[case]
    spies = {name: Spy(answer) for name in ("oidc", "exchange", "kubernetes", "opaque")}
    authenticators = spied(spies)
    if answer and picked:
        assert authenticators.authenticate(token) == answer
    else:
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(token)
    assert {name: spy.asked for name, spy in spies.items() if spy.asked} == ({picked: [token]} if picked else {})


@pytest.mark.parametrize("case", TOKENS)
def test_where_the_one_picked_is_not_enabled_no_other_is_asked(case: str) -> None:
    token, picked = TOKENS[case]
    spies = {
        name: Spy(Caller("4f1c", "ann")) for name in ("oidc", "exchange", "kubernetes", "opaque") if name != picked
    }
    with pytest.raises(NotAuthenticated):
        spied(spies).authenticate(token)
    assert not [name for name, spy in spies.items() if spy.asked]


def test_without_an_issuer_no_token_is_its() -> None:
    spies = {name: Spy() for name in ("oidc", "exchange", "kubernetes")}
    for claims in ({"iss": ""}, {"iss": "", "typ": "Offline"}):
        with pytest.raises(NotAuthenticated):
            spied(spies, issuer="").authenticate(unsigned({}, claims, "AAAA"))
    assert [name for name, spy in spies.items() if spy.asked] == ["kubernetes"]


@pytest.mark.parametrize(
    "token",
    ["", " ", "a b", "a\n", "\x00", "a\x00", "caf\xe9", "\ud800", "a,b", '"a"', "a" * (MAX_TOKEN_BYTES + 1), "\u0661"],
    ids=repr,
)
def test_what_is_no_token_is_shown_to_nobody(token: str) -> None:
    spies = {name: Spy(Caller("4f1c", "ann")) for name in ("oidc", "exchange", "kubernetes", "opaque")}
    with pytest.raises(NotAuthenticated):
        spied(spies).authenticate(token)
    assert not [name for name, spy in spies.items() if spy.asked]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ISSUER, "Offline"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["iss", "typ"]), inner),
    max_leaves=8,
)
_SEGMENTS = st.binary() | _JSON.map(lambda value: json.dumps(value).encode())


@tried(deadline=None, max_examples=200)
@given(
    st.text()
    | st.text("ab._-=AB{}", max_size=40)
    | st.builds(lambda head, body: unsigned(head, body, "AA"), _SEGMENTS, _SEGMENTS)
)
def test_no_text_makes_more_than_a_refusal(token: str) -> None:
    spies = {name: Spy() for name in ("oidc", "exchange", "kubernetes")}
    with pytest.raises(NotAuthenticated):
        spied(spies, opaque=SharedSecretAuthenticator(SECRET.encode())).authenticate(token)
    assert sum(len(spy.asked) for spy in spies.values()) <= 1
    unverified_claims(token)


def test_services_are_told_by_their_secret_and_change_nothing() -> None:
    authenticators = make_authenticators(settings(PHJOB_API_AUTH="secret", PHJOB_API_SHARED_SECRET=SECRET), Spy())
    assert authenticators.authenticate(SECRET) == SERVICE
    assert (SERVICE.can_see("a"), SERVICE.can_change("a")) == (True, False)
    for wrong in (SECRET[:-1], SECRET + "a", SECRET.upper(), "a"):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(wrong)


def test_none_takes_everybody_for_an_administrator() -> None:
    authenticators = make_authenticators(settings(), Spy())
    assert authenticators.anonymous == authenticators.authenticate("anything") == ANONYMOUS_ADMIN
    assert ANONYMOUS_ADMIN.is_admin


def test_only_what_the_settings_name_is_asked(oidc: OidcServer) -> None:
    kubernetes = Spy(Caller("sa", "sa"))
    told = settings(
        PHJOB_API_AUTH="secret",
        PHJOB_API_SHARED_SECRET=SECRET,
        PHJOB_API_OIDC_ISSUER=oidc.issuer,
        PHJOB_API_OIDC_AUDIENCES="hub",
    )
    authenticators = make_authenticators(told, kubernetes)
    assert authenticators.anonymous is None
    for token in (oidc.token(), oidc.offline(), unsigned({}, {"iss": CLUSTER}, "AAAA")):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(token)
    assert not kubernetes.asked
    assert not oidc.asked


def test_kubernetes_and_the_issuer_share_nothing(oidc: OidcServer) -> None:
    kubernetes = Spy(Caller("sa", "sa"))
    told = settings(PHJOB_API_AUTH="oidc,kubernetes", PHJOB_API_OIDC_ISSUER=oidc.issuer, PHJOB_API_OIDC_AUDIENCES="hub")
    authenticators = make_authenticators(told, kubernetes)
    assert authenticators.authenticate(oidc.token()).username == "ann"
    for refused in (oidc.token(azp="other"), oidc.offline(), SECRET):
        with pytest.raises(NotAuthenticated):
            authenticators.authenticate(refused)
    assert not kubernetes.asked
    token = unsigned({}, {"iss": CLUSTER}, "AAAA")
    assert authenticators.authenticate(token).username == "sa"
    assert kubernetes.asked == [token]

"""Certificates: over any course of time, whoever trusts what was published trusts what is served."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.certificates import (
    AUTHORITY_LIFE,
    CERTIFICATE_LIFE,
    OVERLAP,
    renew,
    service_names,
)

NAMES = service_names("phjob-artifacts-webhook", "hub")
START = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
State = dict[str, bytes]


def trusts(bundle: bytes, served: bytes, now: datetime) -> bool:
    """Whether a client that was given `bundle` accepts `served`, by another's verification."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(NAMES[0]))
    try:
        verifier.verify(x509.load_pem_x509_certificate(served), [])
    except VerificationError:
        return False
    return True


def authorities(state: State) -> int:
    return state["ca.crt"].count(b"BEGIN CERTIFICATE")


@pytest.fixture(scope="module")
def fresh() -> State:
    return renew({}, NAMES, START)


def test_from_nothing_comes_an_authority_and_a_certificate_that_is_trusted(fresh: State) -> None:
    assert trusts(fresh["ca.crt"], fresh["tls.crt"], START)
    assert authorities(fresh) == 1
    key = serialization.load_pem_private_key(fresh["tls.key"], None)
    assert key.public_key() == x509.load_pem_x509_certificate(fresh["tls.crt"]).public_key()


def test_the_certificate_is_for_the_service_alone(fresh: State) -> None:
    certificate = x509.load_pem_x509_certificate(fresh["tls.crt"])
    told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert told.get_values_for_type(x509.DNSName) == [
        "phjob-artifacts-webhook.hub.svc",
        "phjob-artifacts-webhook.hub.svc.cluster.local",
    ]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_it_is_valid_where_clocks_are_a_little_behind(fresh: State) -> None:
    assert trusts(fresh["ca.crt"], fresh["tls.crt"], START - timedelta(minutes=50))


def test_nothing_is_due_before_two_thirds_of_its_life(fresh: State) -> None:
    assert renew(fresh, NAMES, START) == fresh
    assert renew(fresh, NAMES, START + CERTIFICATE_LIFE * 2 / 3 - SECOND) == fresh


def test_the_certificate_is_renewed_at_two_thirds_by_the_same_authority(fresh: State) -> None:
    after = renew(fresh, NAMES, START + CERTIFICATE_LIFE * 2 / 3)
    assert after["tls.crt"] != fresh["tls.crt"]
    assert after["tls.key"] != fresh["tls.key"]
    assert after["ca.crt"] == fresh["ca.crt"]


def test_a_new_authority_is_published_before_it_signs_and_the_old_one_goes_when_nobody_serves_its_work(
    fresh: State,
) -> None:
    due = START + AUTHORITY_LIFE * 2 / 3
    served = renew(fresh, NAMES, due - timedelta(days=1))
    announced = renew(served, NAMES, due)
    assert authorities(announced) == 2
    assert announced["tls.crt"] == served["tls.crt"]

    renewal = due + CERTIFICATE_LIFE * 2 / 3
    both = renew(announced, NAMES, renewal)
    assert both["tls.crt"] != served["tls.crt"]
    assert not trusts(served["ca.crt"], both["tls.crt"], renewal)  # by the new one
    assert both["ca.crt"] == announced["ca.crt"]
    assert renew(both, NAMES, renewal + OVERLAP - SECOND) == both

    alone = renew(both, NAMES, renewal + OVERLAP)
    assert authorities(alone) == 1
    assert alone["ca.key"].count(b"BEGIN PRIVATE KEY") == 1
    assert trusts(alone["ca.crt"], both["tls.crt"], renewal + OVERLAP)


# Looks at the Secret come at any pace, but at least so often that two thirds of a life, this, and the time for which a
# replica goes on with what was replaced are less than all.
LONGEST = CERTIFICATE_LIFE / 3 - OVERLAP - SECOND
STEPS = st.lists(
    st.sampled_from(
        [
            timedelta(minutes=1),
            timedelta(hours=7),
            timedelta(days=1),
            timedelta(days=5),
            timedelta(days=20),
            LONGEST,
        ]
    )
    | st.integers(1, 25 * 86400).map(lambda seconds: timedelta(seconds=seconds)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([timedelta(0), AUTHORITY_LIFE * 2 / 3 - timedelta(days=60), AUTHORITY_LIFE * 2 / 3]))
@example([LONGEST] * 3 + [timedelta(minutes=1)], timedelta(0))
@example([LONGEST] * 12, AUTHORITY_LIFE * 2 / 3 - timedelta(days=100))
@example([timedelta(hours=7)] * 24, AUTHORITY_LIFE * 2 / 3 - timedelta(hours=30))
def test_whoever_trusts_what_was_published_lately_trusts_what_is_served(
    steps: list[timedelta], skip: timedelta
) -> None:
    """A client has the bundle, and a replica the certificate, of any moment of the last day."""
    now = START
    state = renew({}, NAMES, now)
    if skip:
        now += skip
        state = renew(state, NAMES, now)
    history = [(now, state)]
    for step in steps:
        now += step
        state = renew(state, NAMES, now)
        history.append((now, state))
        replaced = [when for when, _ in history[1:]] + [now]
        recent = [each for (_, each), end in zip(history, replaced, strict=True) if now - end < OVERLAP]
        bundles = {each["ca.crt"] for each in recent}
        served = {each["tls.crt"] for each in recent}
        assert all(trusts(bundle, certificate, now) for bundle in bundles for certificate in served)


def test_a_controller_that_was_away_until_all_was_over_starts_anew(fresh: State) -> None:
    for gap in (CERTIFICATE_LIFE, AUTHORITY_LIFE, AUTHORITY_LIFE * 3):
        now = START + gap + SECOND
        after = renew(fresh, NAMES, now)
        assert trusts(after["ca.crt"], after["tls.crt"], now)
        assert authorities(after) == 1


def test_after_a_long_absence_the_authority_that_is_trusted_still_signs(fresh: State) -> None:
    """Beyond two thirds of the authority's life, with the certificate long over."""
    now = START + AUTHORITY_LIFE * 2 / 3 + timedelta(days=200)
    after = renew(fresh, NAMES, now)
    assert trusts(fresh["ca.crt"], after["tls.crt"], now)
    assert authorities(after) == 2


def test_a_certificate_never_outlives_its_authority(fresh: State) -> None:
    now = START + AUTHORITY_LIFE - timedelta(days=10)
    served = x509.load_pem_x509_certificate(renew(fresh, NAMES, now)["tls.crt"])
    authority = x509.load_pem_x509_certificate(fresh["ca.crt"])
    assert served.not_valid_after_utc == authority.not_valid_after_utc


def test_other_names_get_another_certificate_at_once(fresh: State) -> None:
    after = renew(fresh, service_names("other", "hub"), START + SECOND)
    told = x509.load_pem_x509_certificate(after["tls.crt"]).extensions
    names = told.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names[0] == "other.hub.svc"
    assert after["ca.crt"] == fresh["ca.crt"]


def test_a_clock_that_goes_back_changes_nothing(fresh: State) -> None:
    assert renew(fresh, NAMES, START - timedelta(days=400)) == fresh


OTHER = renew({}, NAMES, START)
BROKEN = {
    "empty": b"",
    "bytes": b"\xff\x00",
    "no certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
} | {f"other {name}": content for name, content in OTHER.items()}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(OTHER)), st.sampled_from(sorted(BROKEN))), st.booleans())
@example({"ca.crt": "other tls.crt", "ca.key": "other tls.key"}, False)
def test_whatever_is_in_the_secret_what_follows_is_whole(fresh: State, broken: dict[str, str], lacking: bool) -> None:
    state = ({} if lacking else fresh) | {name: BROKEN[what] for name, what in broken.items()}
    now = START + timedelta(days=2)
    after = renew(state, NAMES, now)
    assert trusts(after["ca.crt"], after["tls.crt"], now)
    key = serialization.load_pem_private_key(after["tls.key"], None)
    assert key.public_key() == x509.load_pem_x509_certificate(after["tls.crt"]).public_key()
    assert renew(after, NAMES, now) == after


def test_a_lost_key_of_the_authority_does_not_disturb_what_is_served(fresh: State) -> None:
    now = START + timedelta(days=2)
    after = renew(fresh | {"ca.key": b""}, NAMES, now)
    assert after["tls.crt"] == fresh["tls.crt"]
    assert authorities(after) == 2
    assert trusts(after["ca.crt"], after["tls.crt"], now)

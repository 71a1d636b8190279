"""The certificate's life cycle: at any time, clients with a published bundle trust the served certificates."""

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
SecretData = dict[str, bytes]


def trusts(bundle: bytes, served: bytes, now: datetime) -> bool:
    """Whether a client with this bundle accepts the served certificate, verified by the cryptography library."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(NAMES[0]))
    try:
        verifier.verify(x509.load_pem_x509_certificate(served), [])
    except VerificationError:
        return False
    return True


def authorities(data: SecretData) -> int:
    return data["ca.crt"].count(b"BEGIN CERTIFICATE")


@pytest.fixture(scope="module")
def fresh() -> SecretData:
    return renew({}, NAMES, START)


def test_empty_data_gets_an_authority_and_a_trusted_certificate(fresh: SecretData) -> None:
    assert trusts(fresh["ca.crt"], fresh["tls.crt"], START)
    assert authorities(fresh) == 1
    key = serialization.load_pem_private_key(fresh["tls.key"], None)
    assert key.public_key() == x509.load_pem_x509_certificate(fresh["tls.crt"]).public_key()


def test_the_certificate_is_valid_only_for_the_service(fresh: SecretData) -> None:
    certificate = x509.load_pem_x509_certificate(fresh["tls.crt"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "phjob-artifacts-webhook.hub.svc",
        "phjob-artifacts-webhook.hub.svc.cluster.local",
    ]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_the_certificate_is_valid_for_clocks_two_days_behind(fresh: SecretData) -> None:
    assert trusts(fresh["ca.crt"], fresh["tls.crt"], START - timedelta(hours=47))


def test_nothing_is_renewed_before_two_thirds_of_the_lifetime(fresh: SecretData) -> None:
    assert renew(fresh, NAMES, START) == fresh
    assert renew(fresh, NAMES, START + CERTIFICATE_LIFE * 2 / 3 - SECOND) == fresh


def test_the_certificate_is_renewed_after_two_thirds_by_the_same_authority(fresh: SecretData) -> None:
    after = renew(fresh, NAMES, START + CERTIFICATE_LIFE * 2 / 3)
    assert after["tls.crt"] != fresh["tls.crt"]
    assert after["tls.key"] != fresh["tls.key"]
    assert after["ca.crt"] == fresh["ca.crt"]


def test_a_new_authority_is_published_before_it_signs_and_the_old_one_is_dropped_afterwards(
    fresh: SecretData,
) -> None:
    due = START + AUTHORITY_LIFE * 2 / 3
    served = renew(fresh, NAMES, due - timedelta(days=1))
    announced = renew(served, NAMES, due)
    assert authorities(announced) == 2
    assert announced["tls.crt"] == served["tls.crt"]

    renewal = due + CERTIFICATE_LIFE * 2 / 3
    both = renew(announced, NAMES, renewal)
    assert both["tls.crt"] != served["tls.crt"]
    assert not trusts(served["ca.crt"], both["tls.crt"], renewal)  # signed by the new authority
    assert both["ca.crt"] == announced["ca.crt"]
    assert renew(both, NAMES, renewal + OVERLAP - SECOND) == both

    alone = renew(both, NAMES, renewal + OVERLAP)
    assert authorities(alone) == 1
    assert alone["ca.key"].count(b"BEGIN PRIVATE KEY") == 1
    assert trusts(alone["ca.crt"], both["tls.crt"], renewal + OVERLAP)


# The Secret is checked at any interval up to this one: two thirds of the certificate's lifetime, this interval and the
# time for which a replica uses a replaced certificate must together be less than the lifetime.
MAX_INTERVAL = CERTIFICATE_LIFE / 3 - OVERLAP - SECOND
STEPS = st.lists(
    st.sampled_from(
        [
            timedelta(minutes=1),
            timedelta(hours=7),
            timedelta(days=1),
            timedelta(days=5),
            timedelta(days=20),
            MAX_INTERVAL,
        ]
    )
    | st.integers(1, 25 * 86400).map(lambda seconds: timedelta(seconds=seconds)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([timedelta(0), AUTHORITY_LIFE * 2 / 3 - timedelta(days=60), AUTHORITY_LIFE * 2 / 3]))
@example([MAX_INTERVAL] * 3 + [timedelta(minutes=1)], timedelta(0))
@example([MAX_INTERVAL] * 12, AUTHORITY_LIFE * 2 / 3 - timedelta(days=100))
@example([timedelta(hours=7)] * 24, AUTHORITY_LIFE * 2 / 3 - timedelta(hours=30))
def test_a_recently_published_bundle_trusts_every_certificate_still_served(
    steps: list[timedelta], skip: timedelta
) -> None:
    """A client may have any bundle, and a replica any certificate, of the last day."""
    now = START
    data = renew({}, NAMES, now)
    if skip:
        now += skip
        data = renew(data, NAMES, now)
    history = [(now, data)]
    for step in steps:
        now += step
        data = renew(data, NAMES, now)
        history.append((now, data))
        replaced_at = [at for at, _ in history[1:]] + [now]
        recent = [data for (_, data), end in zip(history, replaced_at, strict=True) if now - end < OVERLAP]
        bundles = {data["ca.crt"] for data in recent}
        served = {data["tls.crt"] for data in recent}
        assert all(trusts(bundle, certificate, now) for bundle in bundles for certificate in served)


def test_expired_data_is_replaced_completely(fresh: SecretData) -> None:
    for gap in (CERTIFICATE_LIFE, AUTHORITY_LIFE, AUTHORITY_LIFE * 3):
        now = START + gap + SECOND
        after = renew(fresh, NAMES, now)
        assert trusts(after["ca.crt"], after["tls.crt"], now)
        assert authorities(after) == 1


def test_after_a_long_absence_the_trusted_authority_still_signs(fresh: SecretData) -> None:
    """Two thirds of the authority's lifetime have passed, and the certificate expired long ago."""
    now = START + AUTHORITY_LIFE * 2 / 3 + timedelta(days=200)
    after = renew(fresh, NAMES, now)
    assert trusts(fresh["ca.crt"], after["tls.crt"], now)
    assert authorities(after) == 2


def test_a_certificate_never_outlives_its_authority(fresh: SecretData) -> None:
    now = START + AUTHORITY_LIFE - timedelta(days=10)
    served = x509.load_pem_x509_certificate(renew(fresh, NAMES, now)["tls.crt"])
    authority = x509.load_pem_x509_certificate(fresh["ca.crt"])
    assert served.not_valid_after_utc == authority.not_valid_after_utc


def test_changed_names_get_a_new_certificate_at_once(fresh: SecretData) -> None:
    after = renew(fresh, service_names("other", "hub"), START + SECOND)
    extensions = x509.load_pem_x509_certificate(after["tls.crt"]).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names[0] == "other.hub.svc"
    assert after["ca.crt"] == fresh["ca.crt"]


def test_a_clock_set_back_changes_nothing(fresh: SecretData) -> None:
    assert renew(fresh, NAMES, START - timedelta(days=400)) == fresh


@pytest.mark.parametrize("ahead", [timedelta(hours=49), timedelta(days=3000)])
def test_certificates_that_api_servers_do_not_accept_yet_are_replaced(ahead: timedelta) -> None:
    """A leader whose clock was ahead created them."""
    data = renew({}, NAMES, START + ahead)
    assert not trusts(data["ca.crt"], data["tls.crt"], START)
    after = renew(data, NAMES, START, is_clients_clock=True)
    assert trusts(after["ca.crt"], after["tls.crt"], START)
    assert authorities(after) == 1
    assert renew(after, NAMES, START, is_clients_clock=True) == after


def test_a_certificate_from_the_future_is_replaced_by_the_same_authority(fresh: SecretData) -> None:
    data = renew(fresh, NAMES, START + timedelta(days=60))
    assert data["tls.crt"] != fresh["tls.crt"]
    now = START + timedelta(days=2)
    after = renew(data, NAMES, now, is_clients_clock=True)
    assert trusts(fresh["ca.crt"], after["tls.crt"], now)
    assert after["ca.crt"] == fresh["ca.crt"]


OTHER = renew({}, NAMES, START)
BROKEN = {
    "empty": b"",
    "bytes": b"\xff\x00",
    "no certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
} | {f"other {name}": content for name, content in OTHER.items()}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(OTHER)), st.sampled_from(sorted(BROKEN))), st.booleans())
@example({"ca.crt": "other tls.crt", "ca.key": "other tls.key"}, False)
def test_any_content_of_the_secret_is_repaired(fresh: SecretData, broken: dict[str, str], is_empty: bool) -> None:
    data = ({} if is_empty else fresh) | {name: BROKEN[content] for name, content in broken.items()}
    now = START + timedelta(days=2)
    after = renew(data, NAMES, now)
    assert trusts(after["ca.crt"], after["tls.crt"], now)
    key = serialization.load_pem_private_key(after["tls.key"], None)
    assert key.public_key() == x509.load_pem_x509_certificate(after["tls.crt"]).public_key()
    assert renew(after, NAMES, now) == after


def test_a_lost_authority_key_does_not_change_the_served_certificate(fresh: SecretData) -> None:
    now = START + timedelta(days=2)
    after = renew(fresh | {"ca.key": b""}, NAMES, now)
    assert after["tls.crt"] == fresh["tls.crt"]
    assert authorities(after) == 2
    assert trusts(after["ca.crt"], after["tls.crt"], now)

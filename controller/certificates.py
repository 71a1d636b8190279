"""The webhook's own certificate authority and certificate: when which is made, renewed and dropped. Pure.

The state is the data of one Secret: `ca.crt` (every authority that is to be trusted, which is what the API server is
given), `ca.key` (their keys), `tls.crt` and `tls.key` (what is served). `renew` gives the next state. Whoever calls it
publishes the present `ca.crt` to the API server first, and stores what it gives only then; so a new authority has been
published for OVERLAP before anything is signed by it, and an old one stays until nobody serves what it has signed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

State = Mapping[str, bytes]

BUNDLE, AUTHORITY_KEYS, CERTIFICATE, KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=90)
OVERLAP = timedelta(days=1)  # the longest that anyone goes on with what was published before
BACKDATED = timedelta(hours=1)  # clocks differ

_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True)
class _Pair:
    """A certificate and its key; an authority whose key is lost can still be trusted."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None

    @property
    def issued_at(self) -> datetime:
        return self.certificate.not_valid_before_utc + BACKDATED

    def is_over(self, now: datetime) -> bool:
        return self.certificate.not_valid_after_utc <= now

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its life are over."""
        return now - self.issued_at >= (self.certificate.not_valid_after_utc - self.issued_at) * 2 / 3


def service_names(service: str, namespace: str) -> list[str]:
    """The names by which the API server knows a service."""
    name = f"{service}.{namespace}.svc"
    return [name, f"{name}.cluster.local"]


def renew(state: State, names: Sequence[str], now: datetime) -> dict[str, bytes]:
    """The state that is to follow `state`, with a certificate for `names`; the same where nothing is due.

    What is missing or cannot be read is made anew. `now` has a time zone.
    """
    now = now.replace(microsecond=0)
    authorities = [each for each in _read_authorities(state) if not each.is_over(now)]
    if all(each.key is None or each.is_due(now) for each in authorities):
        authorities.append(_make_authority(now))
    served = _read_served(state, names, authorities, now)
    signer = _signer(authorities, served, now)
    if signer is not None and (served is None or served.is_due(now)):
        served = _make_served(names, signer, now)
    return _write(_still_needed(authorities, served, now), served)


def _signer(authorities: list[_Pair], served: _Pair | None, now: datetime) -> _Pair | None:
    """The newest authority that everybody trusts by now; with nothing to serve, any is better than none."""
    able = [each for each in authorities if each.key is not None]
    settled = [each for each in able if now - each.issued_at >= OVERLAP]
    if settled:
        return settled[-1]
    return able[-1] if served is None else None


def _still_needed(authorities: list[_Pair], served: _Pair | None, now: datetime) -> list[_Pair]:
    """The newest, and those that have signed what is served, or what was served until lately."""
    if served is None or now - served.issued_at < OVERLAP:
        return authorities
    return [each for each in authorities if each is authorities[-1] or _has_signed(each, served)]


def _read_authorities(state: State) -> list[_Pair]:
    """Oldest first."""
    try:
        certificates = x509.load_pem_x509_certificates(state.get(BUNDLE, b""))
    except _UNREADABLE:
        return []
    keys = [_read_key(pem) for pem in _PEM.findall(state.get(AUTHORITY_KEYS, b""))]
    pairs = [
        _Pair(each, next((key for key in keys if _fits(key, each)), None))
        for each in certificates
        if _is_authority(each)
    ]
    return sorted(pairs, key=lambda pair: pair.issued_at)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False


def _read_served(state: State, names: Sequence[str], authorities: list[_Pair], now: datetime) -> _Pair | None:
    """What is served, if the API server would accept it."""
    key = _read_key(state.get(KEY, b""))
    try:
        certificate = x509.load_pem_x509_certificate(state.get(CERTIFICATE, b""))
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return None
    served = _Pair(certificate, key)
    fits = _fits(key, certificate) and told.get_values_for_type(x509.DNSName) == list(names)
    if not fits or served.is_over(now) or not any(_has_signed(each, served) for each in authorities):
        return None
    return served


def _read_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except _UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _fits(key: ec.EllipticCurvePrivateKey | None, certificate: x509.Certificate) -> bool:
    try:
        return key is not None and key.public_key() == certificate.public_key()
    except _UNREADABLE:
        return False


def _has_signed(authority: _Pair, served: _Pair) -> bool:
    try:
        served.certificate.verify_directly_issued_by(authority.certificate)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"phjob-artifacts webhook authority {now:%Y-%m-%d} {x509.random_serial_number() % 10**8:08}")
    builder = _certificate(name, name, key.public_key(), now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _make_served(names: Sequence[str], signer: _Pair, now: datetime) -> _Pair:
    assert signer.key is not None
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + CERTIFICATE_LIFE, signer.certificate.not_valid_after_utc)
    builder = _certificate(_name("phjob-artifacts webhook"), signer.certificate.subject, key.public_key(), now, end)
    for extension, critical in (
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(signs_certificates=False), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _Pair(builder.sign(signer.key, hashes.SHA256()), key)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATED).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(authorities: list[_Pair], served: _Pair | None) -> dict[str, bytes]:
    state = {
        BUNDLE: b"".join(_pem(each.certificate) for each in authorities),
        AUTHORITY_KEYS: b"".join(_key_pem(each.key) for each in authorities if each.key),
    }
    if served is not None and served.key is not None:
        state |= {CERTIFICATE: _pem(served.certificate), KEY: _key_pem(served.key)}
    return state


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

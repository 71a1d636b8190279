"""The webhook's own certificate authority and certificate: when each is created, renewed and dropped. Pure.

The data of one Secret holds both: `ca.crt` (all trusted authorities, the API server's CA bundle), `ca.key` (their
keys), `tls.crt` and `tls.key` (the served certificate). `renew` returns the next data. Its caller must publish `ca.crt`
to the API server before it stores the data. Then a new authority has been published for OVERLAP before it signs
anything, and an old one stays published until no pod serves a certificate that it signed.
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

SecretData = Mapping[str, bytes]

BUNDLE, AUTHORITY_KEYS, CERTIFICATE, KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=90)
OVERLAP = timedelta(days=1)  # the maximum time for which a process uses an outdated bundle or certificate
BACKDATED = timedelta(hours=48)  # because clocks differ

_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True)
class _Pair:
    """A certificate and its key. The key is None if it is lost; an authority can be trusted without it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None

    @property
    def issued_at(self) -> datetime:
        """When it was issued."""
        return self.certificate.not_valid_before_utc + BACKDATED

    def is_expired(self, now: datetime) -> bool:
        """Whether it is no longer valid."""
        return self.certificate.not_valid_after_utc <= now

    def is_future(self, now: datetime) -> bool:
        """Whether it is not valid yet."""
        return self.certificate.not_valid_before_utc > now

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its lifetime have passed."""
        return now - self.issued_at >= (self.certificate.not_valid_after_utc - self.issued_at) * 2 / 3


def service_names(service: str, namespace: str) -> list[str]:
    """Return the DNS names under which the API server calls a service."""
    name = f"{service}.{namespace}.svc"
    return [name, f"{name}.cluster.local"]


def renew(data: SecretData, names: Sequence[str], now: datetime, *, is_clients_clock: bool = False) -> dict[str, bytes]:
    """Return the data that follows `data`, with a certificate for `names`; equal to `data` if nothing is due.

    Missing and unreadable parts are recreated. `now` must have a time zone. If it `is_clients_clock`, by which the API
    server verifies certificates, those that are not valid yet are replaced, because it does not accept them. By any
    other clock they are kept: that clock may have been set back.
    """
    now = now.replace(microsecond=0)
    authorities = [authority for authority in _read_authorities(data) if not authority.is_expired(now)]
    if is_clients_clock:
        authorities = [authority for authority in authorities if not authority.is_future(now)]
    if all(authority.key is None or authority.is_due(now) for authority in authorities):
        authorities.append(_create_authority(now))
    served = _read_served(data, names, authorities, now)
    if served is not None and is_clients_clock and served.is_future(now):
        served = None
    signer = _signer(authorities, served, now)
    if signer is not None and (served is None or served.is_due(now)):
        served = _create_served(names, signer, now)
    return _format(_still_needed(authorities, served, now), served)


def _signer(authorities: list[_Pair], served: _Pair | None, now: datetime) -> _Pair | None:
    """Return the newest authority that all API servers trust by now; without a served certificate, the newest."""
    with_key = [authority for authority in authorities if authority.key is not None]
    published = [authority for authority in with_key if now - authority.issued_at >= OVERLAP]
    if published:
        return published[-1]
    return with_key[-1] if served is None else None


def _still_needed(authorities: list[_Pair], served: _Pair | None, now: datetime) -> list[_Pair]:
    """Return the newest authority, and those that signed a certificate which a pod may still serve."""
    if served is None or now - served.issued_at < OVERLAP:
        return authorities
    return [authority for authority in authorities if authority is authorities[-1] or _has_signed(authority, served)]


def _read_authorities(data: SecretData) -> list[_Pair]:
    """Return the authorities in the bundle, oldest first."""
    try:
        certificates = x509.load_pem_x509_certificates(data.get(BUNDLE, b""))
    except _UNREADABLE:
        return []
    keys = [_read_key(pem) for pem in _PEM.findall(data.get(AUTHORITY_KEYS, b""))]
    pairs = [
        _Pair(certificate, next((key for key in keys if _matches(key, certificate)), None))
        for certificate in certificates
        if _is_authority(certificate)
    ]
    return sorted(pairs, key=lambda pair: pair.issued_at)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False


def _read_served(data: SecretData, names: Sequence[str], authorities: list[_Pair], now: datetime) -> _Pair | None:
    """Return the served certificate, or None if the API server would not accept it."""
    key = _read_key(data.get(KEY, b""))
    try:
        certificate = x509.load_pem_x509_certificate(data.get(CERTIFICATE, b""))
        subject_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return None
    served = _Pair(certificate, key)
    is_valid = _matches(key, certificate) and subject_names.get_values_for_type(x509.DNSName) == list(names)
    if not is_valid or served.is_expired(now):
        return None
    if not any(_has_signed(authority, served) for authority in authorities):
        return None
    return served


def _read_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except _UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _matches(key: ec.EllipticCurvePrivateKey | None, certificate: x509.Certificate) -> bool:
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


def _create_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"phjob-artifacts webhook authority {now:%Y-%m-%d} {x509.random_serial_number() % 10**8:08}")
    builder = _certificate_builder(name, name, key.public_key(), now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _create_served(names: Sequence[str], signer: _Pair, now: datetime) -> _Pair:
    assert signer.key is not None
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + CERTIFICATE_LIFE, signer.certificate.not_valid_after_utc)
    builder = _certificate_builder(
        _name("phjob-artifacts webhook"), signer.certificate.subject, key.public_key(), now, end
    )
    for extension, critical in (
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(signs_certificates=False), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _Pair(builder.sign(signer.key, hashes.SHA256()), key)


def _certificate_builder(
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


def _format(authorities: list[_Pair], served: _Pair | None) -> dict[str, bytes]:
    data = {
        BUNDLE: b"".join(_pem(authority.certificate) for authority in authorities),
        AUTHORITY_KEYS: b"".join(_key_pem(authority.key) for authority in authorities if authority.key),
    }
    if served is not None and served.key is not None:
        data |= {CERTIFICATE: _pem(served.certificate), KEY: _key_pem(served.key)}
    return data


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

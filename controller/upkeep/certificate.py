"""Keeps the webhook's certificate: reads its Secret, tells the API server whom to trust, writes what follows.

Trust goes ahead of use. An authority is told to the API server before the Secret has anything that it signed, and what
was told before stays until the pure rules drop it: so even after the Secret was lost, what the webhook's pods serve
until the kubelet brings them the new certificate (a minute) is trusted. Nothing is written that could not be told.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from artifacts.log import get_logger
from controller.certificates import BUNDLE, CERTIFICATE, renew, service_names
from kube.objects import ResourceClient

logger = get_logger(__name__)

Document = dict[str, Any]

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookCertificate:
    """The data of the Secret `secret`, and the caBundle of the MutatingWebhookConfiguration `configuration`."""

    name = "certificate"

    def __init__(
        self,
        secrets: ResourceClient,
        configurations: ResourceClient,
        secret: str,
        configuration: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._secrets, self._configurations, self._now = secrets, configurations, now
        self._secret, self._configuration = secret, configuration

    def look(self) -> None:
        """Do what is due now. Raises KubeError; Conflict where somebody else has written meanwhile."""
        configuration = self._configurations.get(self._configuration)
        secret = self._secrets.get(self._secret)
        present = read_data(secret)
        trusted = _certificates(present.get(BUNDLE, b"")) | _certificates(_told(configuration))
        following = renew({**present, BUNDLE: b"".join(trusted)}, _names(configuration), self._now())
        self._tell(configuration, following[BUNDLE])
        if following != present:
            self._secrets.replace(self._secret, {**secret, "data": write_data(following)})
            news = "new" if following.get(CERTIFICATE) != present.get(CERTIFICATE) else "the same"
            logger.info("certificate written", secret=self._secret, certificate=news)

    def _tell(self, configuration: Document, bundle: bytes) -> None:
        text = b64encode(bundle).decode()
        changes = [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": text}
            for index, webhook in enumerate(configuration["webhooks"])
            if webhook["clientConfig"].get("caBundle") != text
        ]
        if not changes:
            return
        version = configuration["metadata"]["resourceVersion"]
        is_same = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        self._configurations.patch(self._configuration, [is_same, *changes])
        logger.info("authorities told", webhook=self._configuration, count=len(_certificates(bundle)))


def read_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """What a Secret holds; without what cannot be read."""
    data = {}
    for name, value in (secret.get("data") or {}).items():
        try:
            data[name] = b64decode(value, validate=True)
        except NoBase64:
            continue
    return data


def write_data(data: Mapping[str, bytes]) -> dict[str, str]:
    """The field `data` of a Secret."""
    return {name: b64encode(value).decode() for name, value in data.items()}


def _names(configuration: Document) -> list[str]:
    service = configuration["webhooks"][0]["clientConfig"]["service"]
    return service_names(service["name"], service["namespace"])


def _told(configuration: Document) -> bytes:
    """Whom the API server trusts now."""
    told = {webhook["clientConfig"].get("caBundle") or "" for webhook in configuration["webhooks"]}
    return b"\n".join(read_data({"data": dict(enumerate(sorted(told)))}).values())


def _certificates(pem: bytes) -> dict[bytes, None]:
    """Each certificate that can be read, once, and in the form that `renew` writes."""
    found: dict[bytes, None] = {}
    for each in _CERTIFICATE.findall(pem):
        try:
            found[x509.load_pem_x509_certificate(each).public_bytes(Encoding.PEM)] = None
        except ValueError:
            continue
    return found

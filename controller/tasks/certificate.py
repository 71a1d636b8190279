"""Maintains the webhook's certificate: the Secret with it, and the CA bundle that the API server trusts.

An authority is published to the API server before the Secret contains anything that the authority signed, and stays
published until `renew` drops it. So even if the Secret is lost, the API server trusts the old certificate until the
kubelet has delivered the new one to the webhook's pods (a minute). If publishing fails, nothing is stored.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
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


class WebhookCertificateTask:
    """Maintains the Secret `secret` and the caBundle of the MutatingWebhookConfiguration `configuration`.

    `server_time` returns the API server's time, or None if it is unknown. The API server verifies the certificate by
    that clock, so a leader whose clock is wrong does no harm.
    """

    name = "certificate"

    def __init__(
        self,
        secrets: ResourceClient,
        configurations: ResourceClient,
        secret: str,
        configuration: str,
        server_time: Callable[[], datetime | None],
    ) -> None:
        self._secrets, self._configurations, self._server_time = secrets, configurations, server_time
        self._secret, self._configuration = secret, configuration

    def reconcile(self) -> None:
        """Publish and store the changes that are due. Raises KubeError; Conflict if another writer was faster."""
        configuration = self._configurations.get(self._configuration)
        secret = self._secrets.get(self._secret)
        current = decode_data(secret)
        trusted = _certificates(current.get(BUNDLE, b"")) | _certificates(_published_bundle(configuration))
        now = self._server_time()
        renewed = renew(
            {**current, BUNDLE: b"".join(trusted)},
            _dns_names(configuration),
            now or datetime.now(UTC),
            is_clients_clock=now is not None,
        )
        self._publish(configuration, renewed[BUNDLE])
        if renewed != current:
            self._secrets.replace(self._secret, {**secret, "data": encode_data(renewed)})
            change = "new" if renewed.get(CERTIFICATE) != current.get(CERTIFICATE) else "unchanged"
            logger.info("certificate stored", secret=self._secret, certificate=change)

    def _publish(self, configuration: Document, bundle: bytes) -> None:
        text = b64encode(bundle).decode()
        changes = [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": text}
            for index, webhook in enumerate(configuration["webhooks"])
            if webhook["clientConfig"].get("caBundle") != text
        ]
        if not changes:
            return
        version = configuration["metadata"]["resourceVersion"]
        is_unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        self._configurations.patch(self._configuration, [is_unchanged, *changes])
        logger.info("ca bundle published", webhook=self._configuration, certificates=len(_certificates(bundle)))


def decode_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the data of a Secret, without values that are not valid base64."""
    data = {}
    for name, value in (secret.get("data") or {}).items():
        try:
            data[name] = b64decode(value, validate=True)
        except Base64Error:
            continue
    return data


def encode_data(data: Mapping[str, bytes]) -> dict[str, str]:
    """Return the field `data` of a Secret."""
    return {name: b64encode(value).decode() for name, value in data.items()}


def _dns_names(configuration: Document) -> list[str]:
    service = configuration["webhooks"][0]["clientConfig"]["service"]
    return service_names(service["name"], service["namespace"])


def _published_bundle(configuration: Document) -> bytes:
    """Return the certificates that the API server trusts now."""
    bundles = {webhook["clientConfig"].get("caBundle") or "" for webhook in configuration["webhooks"]}
    return b"\n".join(decode_data({"data": dict(enumerate(sorted(bundles)))}).values())


def _certificates(pem: bytes) -> dict[bytes, None]:
    """Return each readable certificate once, in the form that `renew` writes."""
    certificates: dict[bytes, None] = {}
    for block in _CERTIFICATE.findall(pem):
        try:
            certificates[x509.load_pem_x509_certificate(block).public_bytes(Encoding.PEM)] = None
        except ValueError:
            continue
    return certificates

"""The key that signs download links: random, created once, and the same for all replicas of the API."""

import secrets

from artifacts.log import get_logger
from controller.tasks.certificate import decode_data, encode_data
from kube.objects import ResourceClient

logger = get_logger(__name__)

KEY = "link-key"


class LinkKeyTask:
    """Creates the key in the Secret `secret`. The API's pods mount the Secret and wait for the key."""

    name = "link key"

    def __init__(self, client: ResourceClient, secret: str) -> None:
        self._client, self._secret = client, secret

    def reconcile(self) -> None:
        """Create the key if it does not exist. Raises KubeError."""
        secret = self._client.get(self._secret)
        data = decode_data(secret)
        if not data.get(KEY):
            data[KEY] = secrets.token_urlsafe(48).encode()
            self._client.replace(self._secret, {**secret, "data": encode_data(data)})
            logger.info("link key created", secret=self._secret)

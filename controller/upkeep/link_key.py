"""The key that signs links for browsers: made once, at random, so that all replicas of the API have the same."""

import secrets

from artifacts.log import get_logger
from controller.upkeep.certificate import read_data, write_data
from kube.objects import ResourceClient

logger = get_logger(__name__)

KEY = "link-key"


class LinkKey:
    """The Secret `secret`, which the API's pods mount; they wait for it."""

    name = "link key"

    def __init__(self, objects: ResourceClient, secret: str) -> None:
        self._objects, self._secret = objects, secret

    def look(self) -> None:
        """Make the key if there is none. Raises KubeError."""
        secret = self._objects.get(self._secret)
        data = read_data(secret)
        if not data.get(KEY):
            data[KEY] = secrets.token_urlsafe(48).encode()
            self._objects.replace(self._secret, {**secret, "data": write_data(data)})
            logger.info("key of links made", secret=self._secret)

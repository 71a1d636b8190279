"""PrimeHub's InstanceType and Image objects in Kubernetes, listed on demand and cached.

A cluster without PrimeHub's definitions, or without the permission to list them, has none. Clients ask often, so that
is cached too, for longer.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from api.cache import ExpiringCache
from api.definitions.definition import (
    ImageDefinition,
    InstanceTypeDefinition,
    parse_image,
    parse_instance_type,
)
from artifacts.log import get_logger
from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)

MAX_DEFINITIONS = 500  # of each kind
FRESH_SECONDS = 60.0
ABSENT_SECONDS = 600.0
RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 3.0  # a user is waiting

T = TypeVar("T")


class KubernetesDefinitions:
    """The definitions in `namespace`. Needs the permission to list instancetypes and images.

    If the API server does not respond, the last known definitions are returned. `clock`: monotonic seconds.
    """

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._instance_types = _CachedList(client, namespace, "instancetypes", parse_instance_type, clock)
        self._images = _CachedList(client, namespace, "images", parse_image, clock)

    def instance_types(self) -> Sequence[InstanceTypeDefinition]:
        """Return all instance types, by name."""
        return self._instance_types.get()

    def images(self) -> Sequence[ImageDefinition]:
        """Return all images, by name."""
        return self._images.get()


class _CachedList(Generic[T]):
    def __init__(
        self,
        client: Client,
        namespace: str,
        plural: str,
        parse: Callable[[Mapping[str, Any]], T],
        clock: Callable[[], float],
    ) -> None:
        resource = Resource("primehub.io", "v1alpha1", plural, namespace)
        self._source, self._parse = ResourceClient(client, resource, timeout=_TIMEOUT_SECONDS), parse
        self._cache: ExpiringCache[str, tuple[T, ...]] = ExpiringCache(1, clock)
        self._last: tuple[T, ...] = ()
        self._is_absent = False

    def get(self) -> tuple[T, ...]:
        return self._cache.get_or_load("", self._load)

    def _load(self) -> tuple[tuple[T, ...], float]:
        """Return the definitions, and for how many seconds to cache them."""
        resource = self._source.resource
        try:
            self._last, self._is_absent, seconds = tuple(self._list()), False, FRESH_SECONDS
        except (errors.NotFound, errors.Forbidden) as error:
            if not self._is_absent:  # which is normal without PrimeHub
                logger.info("no definitions", resource=resource, reason=error)
            self._last, self._is_absent, seconds = (), True, ABSENT_SECONDS
        except errors.KubeError as error:
            logger.warning("definitions not listed", resource=resource, error=error)
            seconds = RETRY_SECONDS
        return self._last, seconds

    def _list(self) -> Iterator[T]:
        count = 0
        for page in self._source.pages({}):
            yield from map(self._parse, page.items[: MAX_DEFINITIONS - count])
            count += len(page.items)
            if count >= MAX_DEFINITIONS:
                return

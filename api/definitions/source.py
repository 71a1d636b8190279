"""The interface of a source of definitions, and the source of services that have none."""

from collections.abc import Sequence
from typing import Protocol

from api.definitions.definition import ImageDefinition, InstanceTypeDefinition


class DefinitionSource(Protocol):
    """A source of instance types and images. Methods return what is known, and never raise."""

    def instance_types(self) -> Sequence[InstanceTypeDefinition]:
        """Return all instance types, by name."""

    def images(self) -> Sequence[ImageDefinition]:
        """Return all images, by name, including those of single groups."""


class NoDefinitions:
    """Has no definitions, as in local mode."""

    def instance_types(self) -> Sequence[InstanceTypeDefinition]:
        """Return none."""
        return ()

    def images(self) -> Sequence[ImageDefinition]:
        """Return none."""
        return ()

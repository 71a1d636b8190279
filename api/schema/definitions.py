"""Instance types and images in GraphQL, with the fields that PrimeHub's clients select."""

# mypy: allow-subclassing-any

from typing import Any

from graphene import ID, Boolean, Field, Float, Int, List, NonNull, ObjectType, String

from api.definitions.definition import ImageDefinition, InstanceTypeDefinition
from api.schema.types import JSON


class InstanceTypeToleration(ObjectType):
    """A toleration of the job's pod."""

    class Meta:
        """The name in PrimeHub's schema."""

        name = "Toleration"

    operator = NonNull(String)
    key = String()
    value = String()
    effect = String()


class InstanceType(ObjectType):
    """The resources of a job's pod. If the cluster has no such InstanceType, only the name is known."""

    id = NonNull(ID)
    name = NonNull(String)
    display_name = String()
    description = String()
    cpu_limit = Float()
    cpu_request = Float()
    memory_limit = Float(description="Gigabytes.")
    memory_request = Float(description="Gigabytes.")
    gpu_limit = Int()
    is_global = Boolean(name="global", description="Always null.")
    spec = Field(JSON)
    tolerations = NonNull(List(InstanceTypeToleration))
    node_selector = Field(JSON)


class Image(ObjectType):
    """A container image."""

    id = NonNull(ID)
    name = NonNull(String)
    display_name = String()
    description = String()
    type = String(description="cpu, gpu or both.")
    url = String()
    url_for_gpu = String()
    group_name = String(description="The only group that can use the image; null if all groups can.")
    is_global = Boolean(name="global", description="Always null.")
    is_ready = Boolean(description="Whether the image has a URL.")
    spec = Field(JSON)
    use_image_pull_secret = String()


class _DefinitionRow:
    """The values of a definition. PrimeHub's assignment of definitions to groups is unknown."""

    is_global = None

    def __init__(self, definition: Any) -> None:
        self._definition = definition

    def __getattr__(self, name: str) -> Any:
        """Return the definition's attribute of that name."""
        return getattr(self._definition, name)

    @property
    def id(self) -> str:
        """The name."""
        return str(self._definition.name)


class InstanceTypeRow(_DefinitionRow):
    """The values of InstanceType."""

    _definition: InstanceTypeDefinition


class ImageRow(_DefinitionRow):
    """The values of Image."""

    _definition: ImageDefinition

    @property
    def group_name(self) -> str | None:
        """The group that owns the image."""
        return self._definition.group or None

    @property
    def is_ready(self) -> bool:
        """Whether the image has a URL: PrimeHub may still be building it."""
        return bool(self._definition.url)

    @property
    def use_image_pull_secret(self) -> str | None:
        """The name of the secret with which the image is pulled."""
        return self._definition.pull_secret

"""The caller and the caller's groups in GraphQL, with the fields that PrimeHub's SDK and console select."""

# mypy: allow-subclassing-any

from typing import NamedTuple

from graphene import ID, Boolean, Field, Float, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.auth.caller import Caller
from api.folder import group_path_or_none
from api.schema.context import RequestContext
from api.schema.definitions import Image, ImageRow, InstanceType, InstanceTypeRow


class User(ObjectType):
    """A user. Fields that the user's token does not have are null."""

    id = NonNull(ID)
    username = String()
    first_name = String()
    last_name = String()
    email = String()
    is_admin = Boolean()
    groups = List(NonNull(lambda: Group), description="The same as effectiveGroups.")
    effective_groups = List(NonNull(lambda: Group))


class Dataset(ObjectType):
    """A dataset. Datasets are outside the scope of this server, so groups have none."""

    id = NonNull(ID)
    name = NonNull(String)
    display_name = String()
    description = String()
    type = String()
    writable = Boolean()


class ResourceStatus(ObjectType):
    """A group's use of resources. This server does not measure the use, so all fields are null."""

    cpu_usage = String()
    mem_usage = String()
    gpu_usage = String()


class Group(ObjectType):
    """A team. The name, which is also the id, comes from the caller's token. Quotas and settings are null."""

    id = NonNull(ID)
    name = NonNull(String)
    display_name = String()
    quota_cpu = Float()
    quota_gpu = Int()
    quota_memory = Float()
    user_volume_capacity = Int()
    project_quota_cpu = Float()
    project_quota_gpu = Int()
    project_quota_memory = Float()
    users = List(User, description="Always empty: a token does not have the other members.")
    instance_types = List(InstanceType, description="All InstanceType objects of the cluster.")
    images = List(Image, description="All Image objects of the cluster that belong to this group or to no group.")
    datasets = List(Dataset, description="Always empty.")
    resource_status = Field(ResourceStatus)
    enabled_shared_volume = Boolean()
    shared_volume_capacity = Int()
    home_symlink = Boolean()
    launch_group_only = Boolean()
    enabled_deployment = Boolean()
    max_deploy = Int()
    deployments_usage = Int()
    job_default_active_deadline_seconds = Int()
    writable = Boolean()
    admins = String(description="Always empty: a token does not have the group's administrators.")


class Timezone(ObjectType):
    """The time zone in which the service displays times."""

    name = NonNull(String)
    offset = NonNull(Float, description="Hours east of UTC.")


class DatasetRow(NamedTuple):
    """The values of Dataset."""

    id: str
    name: str
    display_name: str
    description: str
    type: str
    writable: bool


class ResourceStatusRow:
    """The values of ResourceStatus."""

    cpu_usage = mem_usage = gpu_usage = None


class TimezoneRow(NamedTuple):
    """The values of Timezone, under PrimeHub's name for UTC."""

    name: str = "Etc/GMT"
    offset: float = 0.0


class GroupRow:
    """The values of Group."""

    id: str
    name: str
    display_name: str

    quota_cpu = quota_gpu = quota_memory = user_volume_capacity = None
    project_quota_cpu = project_quota_gpu = project_quota_memory = None
    enabled_shared_volume = shared_volume_capacity = home_symlink = launch_group_only = None
    enabled_deployment = max_deploy = deployments_usage = None
    job_default_active_deadline_seconds = writable = None
    admins = ""  # text, because clients split it
    resource_status = ResourceStatusRow()

    def __init__(self, name: str, context: RequestContext) -> None:
        self.id = self.name = self.display_name = name
        self._context = context

    @property
    def users(self) -> "list[UserRow]":
        """None are known."""
        return []

    @property
    def instance_types(self) -> list[InstanceTypeRow]:
        """The cluster's instance types."""
        definitions = self._context.services.definitions.instance_types()
        self._context.budget.charge_definitions(sum(definition.byte_count for definition in definitions))
        return [InstanceTypeRow(definition) for definition in definitions]

    @property
    def images(self) -> list[ImageRow]:
        """The cluster's images that the group can use."""
        path = group_path_or_none(self.name)
        definitions = [
            definition
            for definition in self._context.services.definitions.images()
            if not definition.group or group_path_or_none(definition.group) == path
        ]
        self._context.budget.charge_definitions(sum(definition.byte_count for definition in definitions))
        return [ImageRow(definition) for definition in definitions]

    @property
    def datasets(self) -> list[DatasetRow]:
        """None are known."""
        return []


class UserRow:
    """The values of User, for the caller."""

    def __init__(self, context: RequestContext) -> None:
        self._caller: Caller = context.caller
        self._context = context

    @property
    def id(self) -> str:
        """The user's id at the issuer."""
        return self._caller.id

    @property
    def username(self) -> str:
        """The name with which the user signs in."""
        return self._caller.username

    @property
    def first_name(self) -> str | None:
        """The given name."""
        return self._caller.first_name or None

    @property
    def last_name(self) -> str | None:
        """The family name."""
        return self._caller.last_name or None

    @property
    def email(self) -> str | None:
        """The address."""
        return self._caller.email or None

    @property
    def is_admin(self) -> bool:
        """Whether the user may see and change everything."""
        return self._caller.is_admin

    @property
    def groups(self) -> list[GroupRow]:
        """The user's groups."""
        return [GroupRow(group, self._context) for group in self._caller.groups]

    @property
    def effective_groups(self) -> list[GroupRow]:
        """The user's groups, too: this server has no group that contains all users."""
        return self.groups


class AccountQueries(ObjectType):
    """Queries for the caller."""

    me = Field(NonNull(User))
    timezone = Field(NonNull(Timezone))

    @staticmethod
    def resolve_me(_: None, info: ResolveInfo) -> UserRow:
        """Return the caller."""
        return UserRow(info.context)

    @staticmethod
    def resolve_timezone(_: None, info: ResolveInfo) -> TimezoneRow:
        """Return UTC."""
        return TimezoneRow()

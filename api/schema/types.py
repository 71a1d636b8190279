"""GraphQL types that several parts of the schema share."""

# mypy: allow-subclassing-any

from typing import Any

from graphene import ID, Boolean, Field, Float, Int, List, NonNull, ObjectType, Scalar, String
from graphql import GraphQLError


class Size(Scalar):
    """A number of bytes or files: a JSON number without fraction.

    PrimeHub has Int in one place, which ends at 2 GiB, and Float in the other, whose whole numbers its server writes
    without fraction. Neither's clients can tell this from theirs; Float here would write 5 as 5.0.
    """

    @staticmethod
    def serialize(value: Any) -> int:
        """The number as it is."""
        if type(value) is not int:
            raise GraphQLError("a size is no whole number")
        return value


class JSON(Scalar):
    """Any JSON value. Always null here."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """The value as it is."""
        return value


class PageInfo(ObjectType):
    """Where a page is among the pages."""

    current_page = Int()
    total_page = Int()
    has_next_page = NonNull(Boolean)
    has_previous_page = NonNull(Boolean)
    start_cursor = String()
    end_cursor = String()


class InstanceType(ObjectType):
    """What a job's pod gets. Its name is all that is known here."""

    id = NonNull(ID)
    name = NonNull(String)
    display_name = String()
    description = String()
    cpu_limit = Float()
    memory_limit = Float()
    gpu_limit = Int()


class Group(ObjectType):
    """A team. Its name is all that is known here, and serves as its id."""

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
    enabled_shared_volume = Boolean()
    shared_volume_capacity = Int()
    home_symlink = Boolean()
    launch_group_only = Boolean()
    enabled_deployment = Boolean()
    max_deploy = Int()
    deployments_usage = Int()
    job_default_active_deadline_seconds = Int()
    writable = Boolean()
    admins = String()


class Me(ObjectType):
    """Whoever asks."""

    id = NonNull(ID)
    username = String()
    is_admin = Boolean()
    effective_groups = List(NonNull(Group))


class FileCount(ObjectType):
    """A number of files and the bytes in them."""

    files = NonNull(Size)
    bytes = NonNull(Size)


def count_field(text: str) -> Field:
    """A field with files and bytes."""
    return Field(NonNull(FileCount), description=text)

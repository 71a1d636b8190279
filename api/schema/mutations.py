"""What GraphQL changes: jobs are created, cancelled and run again, artifacts kept longer, or removed."""

# mypy: allow-subclassing-any

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphene import ID, Boolean, Field, InputObjectType, Int, NonNull, ObjectType, ResolveInfo, String

from api.errors import BadInput, NotAuthorized
from api.folder import JobFolder, folder_by_group, folder_by_id, group_path_or_none, visible_group, visible_job
from api.jobs.job import Draft, Job, read_time
from api.schema.artifact import Artifact, PhJobArtifact, PhJobArtifactWhereInput
from api.schema.cleanup import own_groups
from api.schema.jobs import JobRow, PhJob, PhJobWhereUniqueInput
from api.schema.request import Request
from api.schema.types import Size
from api.store.store import RemovedFiles
from artifacts.log import get_logger

logger = get_logger(__name__)

_MOST_TEXT = 1024
_MOST_SECONDS = 2**31 - 1


class PhJobCreateInput(InputObjectType):
    """A job to be created. `groupId` is the group's name."""

    display_name = String()
    group_id = String()
    instance_type = String()
    image = String()
    command = String()
    active_deadline_seconds = Int()


class PhJobNotifyEventInput(InputObjectType):
    """What PrimeHub's controller reports."""

    id = NonNull(ID)
    type = NonNull(String)


class PhJobCancelResponse(ObjectType):
    """The job that is to end."""

    id = NonNull(ID)


class PhJobArtifactRemoval(ObjectType):
    """What was removed."""

    files = NonNull(Size)
    bytes = NonNull(Size)


class Cancelled(NamedTuple):
    """What PhJobCancelResponse shows."""

    id: str


class Mutation(ObjectType):
    """All mutations."""

    create_ph_job = Field(NonNull(PhJob), data=NonNull(PhJobCreateInput))
    rerun_ph_job = Field(NonNull(PhJob), where=NonNull(PhJobWhereUniqueInput))
    cancel_ph_job = Field(NonNull(PhJobCancelResponse), where=NonNull(PhJobWhereUniqueInput))
    notify_ph_job_event = Field(Int, data=NonNull(PhJobNotifyEventInput), description="Taken, and left alone.")
    cleanup_ph_job_artifact = Field(
        Int,
        force=Boolean(description="Remove even suspiciously much; an administrator may."),
        description="Remove what is due, of all groups for an administrator, else of one's own: how many job folders.",
    )
    extend_ph_job_artifact = Field(
        NonNull(PhJobArtifact),
        where=NonNull(PhJobArtifactWhereInput),
        until=NonNull(String, description="RFC 3339, such as 2030-01-31T12:00:00Z."),
    )
    pin_ph_job_artifact = Field(NonNull(PhJobArtifact), where=NonNull(PhJobArtifactWhereInput), note=String())
    unpin_ph_job_artifact = Field(NonNull(PhJobArtifact), where=NonNull(PhJobArtifactWhereInput))
    delete_ph_job_artifact = Field(NonNull(PhJobArtifactRemoval), where=NonNull(PhJobArtifactWhereInput))

    @staticmethod
    def resolve_create_ph_job(_: None, info: ResolveInfo, data: Mapping[str, Any]) -> JobRow:
        request: Request = info.context
        job = request.services.jobs.create(read_draft(request, data))
        return _created("new", job, request)

    @staticmethod
    def resolve_rerun_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> JobRow:
        request: Request = info.context
        old = _own_job(request, where["id"])
        draft = Draft(
            display_name=old.display_name,
            group=old.group,
            command=old.command,
            user_id=request.caller.id,
            user_name=request.caller.username,
            image=old.image,
            instance_type=old.instance_type,
            active_deadline_seconds=old.active_deadline_seconds,
        )
        return _created("run again", request.services.jobs.create(draft), request)

    @staticmethod
    def resolve_cancel_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> Cancelled:
        request: Request = info.context
        job = _own_job(request, where["id"])
        if not job.has_ended:
            request.services.jobs.cancel(job)
            logger.info("cancelled", group=job.group, job=job.id, user=request.caller.username)
        return Cancelled(job.id)

    @staticmethod
    def resolve_notify_ph_job_event(_: None, info: ResolveInfo, data: Mapping[str, str]) -> int:
        return 0

    @staticmethod
    def resolve_cleanup_ph_job_artifact(_: None, info: ResolveInfo, force: bool | None = None) -> int:
        request: Request = info.context
        if request.caller.is_service:
            raise NotAuthorized("a service may read only: the cleanup is started by users")
        if force and not request.caller.is_admin:
            raise NotAuthorized("only an administrator may force the cleanup: leave out force")
        return request.services.cleaner.clean(own_groups(request.caller), force=bool(force)).removed

    @staticmethod
    def resolve_extend_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str], until: str) -> Artifact:
        at = read_time(until)
        if at is None:
            raise BadInput("until is no time: use RFC 3339, such as 2030-01-31T12:00:00Z")
        folder = named_folder(info.context, where)
        info.context.services.retention.extend(folder, int(at), info.context.caller)
        return _decided(info.context, folder)

    @staticmethod
    def resolve_pin_ph_job_artifact(
        _: None, info: ResolveInfo, where: Mapping[str, str], note: str | None = None
    ) -> Artifact:
        folder = named_folder(info.context, where)
        info.context.services.retention.pin(folder, note or "", info.context.caller)
        return _decided(info.context, folder)

    @staticmethod
    def resolve_unpin_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> Artifact:
        folder = named_folder(info.context, where)
        info.context.services.retention.unpin(folder, info.context.caller)
        return _decided(info.context, folder)

    @staticmethod
    def resolve_delete_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> RemovedFiles:
        request: Request = info.context
        folder = named_folder(request, where)
        return request.services.cleaner.delete(folder, request.caller)


def named_folder(request: Request, where: Mapping[str, str | None]) -> JobFolder:
    """The job folder that `where` names, by id or by group and job. Raises BadInput and NotFound."""
    name, group, job = where.get("id"), where.get("group_name"), where.get("job")
    jobs, caller = request.services.jobs, request.caller
    if name is not None and group is None and job is None:
        return folder_by_id(jobs, caller, name)
    if name is None and group is not None and job is not None:
        return folder_by_group(jobs, caller, group, job)
    raise BadInput("where: give the PhJob's id, or groupName and job")


def read_draft(request: Request, data: Mapping[str, Any]) -> Draft:
    """The job that is asked for. Raises BadInput and NotAuthorized."""
    texts = {name: data.get(name) or "" for name in ("display_name", "group_id", "instance_type", "image")}
    command, deadline = data.get("command") or "", data.get("active_deadline_seconds")
    if not texts["group_id"]:
        raise BadInput("groupId is missing: give the group's name")
    if not command.strip() or "\0" in command:
        raise BadInput("command is missing: give what the job is to run")
    if any(len(text) > _MOST_TEXT or not text.isprintable() for text in texts.values()):
        raise BadInput(f"displayName, instanceType and image are one line of at most {_MOST_TEXT} characters each")
    if deadline is not None and not 0 < deadline <= _MOST_SECONDS:
        raise BadInput("activeDeadlineSeconds is a number of seconds from 1")
    group = _own_group(request, texts["group_id"])
    caller = request.caller
    return Draft(
        texts["display_name"],
        group,
        command,
        caller.id,
        caller.username,
        texts["image"],
        texts["instance_type"],
        deadline,
    )


def _own_group(request: Request, group: str) -> str:
    """The group's name, as the caller's token has it where it does."""
    path = visible_group(request.caller, group)
    if not request.caller.can_change(group):
        raise NotAuthorized("user not auth: a service may read only")
    if group in request.caller.groups:
        return group
    return next((own for own in request.caller.groups if group_path_or_none(own) == path), group)


def _own_job(request: Request, name: str) -> Job:
    job = visible_job(request.services.jobs, request.caller, name)
    if not request.caller.can_change(job.group):
        raise NotAuthorized("user not auth: a service may read only")
    return job


def _created(what: str, job: Job, request: Request) -> JobRow:
    logger.info("created", how=what, group=job.group, job=job.id, user=request.caller.username)
    return JobRow(job, request)


def _decided(request: Request, folder: JobFolder) -> Artifact:
    """The artifacts as they are now: another mutation of the same request may have looked at them before."""
    return Artifact(Request(request.caller, request.services, request.usage, request.budget), folder)

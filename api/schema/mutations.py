"""The mutations: create, cancel and rerun jobs; extend, pin, unpin and delete artifacts; start the cleanup."""

# mypy: allow-subclassing-any

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphene import ID, Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.errors import BadInput, NotAuthorized
from api.folder import JobFolder, folder_by_group, folder_by_id, group_path_or_none, visible_group, visible_job
from api.jobs.job import Draft, Job, parse_time
from api.schema.artifact import ArtifactView, PhJobArtifact, PhJobArtifactWhereInput
from api.schema.cleanup import cleanup_groups
from api.schema.context import RequestContext
from api.schema.job_options import parse_job_options
from api.schema.jobs import JobNode, PhJob, PhJobWhereUniqueInput
from api.schema.types import Size
from api.store.store import RemovedFiles
from artifacts.log import get_logger

logger = get_logger(__name__)

_MAX_TEXT_LENGTH = 1024
_MAX_SECONDS = 2**31 - 1
_READ_ONLY = "user not auth: a service may only read"


class PhJobCreateInput(InputObjectType):
    """The job to create. `groupId` is the group's name. Without a value, the collector's setting applies."""

    display_name = String()
    group_id = String()
    instance_type = String()
    image = String()
    command = String()
    active_deadline_seconds = Int()
    artifact_limit_size_mb = Int(description="Maximum size of the artifacts, in MB of 1024 x 1024 bytes.")
    artifact_limit_files = Int(description="Maximum number of artifacts.")
    artifact_over_limit = String(
        description="If a limit is exceeded: reject collects nothing, keep collects the files that fit."
    )
    artifact_retention_seconds = Int(description="Seconds from the end of the job until its artifacts expire.")
    artifact_include = List(NonNull(String), description="Globs of files to collect; without any: all files.")
    artifact_exclude = List(NonNull(String), description="Globs of files not to collect.")


class PhJobNotifyEventInput(InputObjectType):
    """An event that PrimeHub's controller reports."""

    id = NonNull(ID)
    type = NonNull(String)


class PhJobCancelResponse(ObjectType):
    """The job that was cancelled."""

    id = NonNull(ID)


class PhJobArtifactRemoval(ObjectType):
    """The files that were removed."""

    files = NonNull(Size)
    bytes = NonNull(Size)


class CancelledJob(NamedTuple):
    """The values of PhJobCancelResponse."""

    id: str


class Mutation(ObjectType):
    """All mutations."""

    create_ph_job = Field(NonNull(PhJob), data=NonNull(PhJobCreateInput))
    rerun_ph_job = Field(
        NonNull(PhJob),
        where=NonNull(PhJobWhereUniqueInput),
        description="Create a job with the command and settings of another job.",
    )
    cancel_ph_job = Field(NonNull(PhJobCancelResponse), where=NonNull(PhJobWhereUniqueInput))
    notify_ph_job_event = Field(
        Int, data=NonNull(PhJobNotifyEventInput), description="Accepts an event and ignores it."
    )
    cleanup_ph_job_artifact = Field(
        Int,
        force=Boolean(description="Remove artifacts even if they are suspiciously many. Only for administrators."),
        description="Remove expired artifacts: an administrator in all groups, a user in the user's own groups. "
        "Returns the number of job folders that were removed.",
    )
    extend_ph_job_artifact = Field(
        NonNull(PhJobArtifact),
        where=NonNull(PhJobArtifactWhereInput),
        until=NonNull(String, description="RFC 3339, such as 2030-01-31T12:00:00Z."),
        description="Keep artifacts until a later time.",
    )
    pin_ph_job_artifact = Field(
        NonNull(PhJobArtifact),
        where=NonNull(PhJobArtifactWhereInput),
        note=String(),
        description="Keep artifacts until they are unpinned.",
    )
    unpin_ph_job_artifact = Field(
        NonNull(PhJobArtifact),
        where=NonNull(PhJobArtifactWhereInput),
        description="Let artifacts expire again, not sooner than in a day.",
    )
    delete_ph_job_artifact = Field(
        NonNull(PhJobArtifactRemoval),
        where=NonNull(PhJobArtifactWhereInput),
        description="Remove artifacts now, whether or not they have expired.",
    )

    @staticmethod
    def resolve_create_ph_job(_: None, info: ResolveInfo, data: Mapping[str, Any]) -> JobNode:
        """Create a PhJob in one of the caller's groups."""
        context: RequestContext = info.context
        return _create_job(context, parse_draft(context, data))

    @staticmethod
    def resolve_rerun_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> JobNode:
        """Create a PhJob with the same specification."""
        context: RequestContext = info.context
        job = context.services.jobs.read(_changeable_job(context, where["id"]))
        logger.info("job rerun requested", group=job.group, job=job.id, user=context.caller.username)
        draft = Draft(
            display_name=job.display_name,
            group=job.group,
            command=job.command,
            user_id=context.caller.id,
            user_name=context.caller.username,
            image=job.image,
            instance_type=job.instance_type,
            active_deadline_seconds=job.active_deadline_seconds,
            options=job.options,
        )
        return _create_job(context, draft)

    @staticmethod
    def resolve_cancel_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> CancelledJob:
        """Request the end of a PhJob; do nothing if it has ended."""
        context: RequestContext = info.context
        job = _changeable_job(context, where["id"])
        if not job.has_ended:
            context.services.jobs.cancel(job)
            logger.info("job cancelled", group=job.group, job=job.id, user=context.caller.username)
        return CancelledJob(job.id)

    @staticmethod
    def resolve_notify_ph_job_event(_: None, info: ResolveInfo, data: Mapping[str, str]) -> int:
        """Accept PrimeHub's notification, which needs no action here."""
        return 0

    @staticmethod
    def resolve_cleanup_ph_job_artifact(_: None, info: ResolveInfo, force: bool | None = None) -> int:
        """Run the cleanup and return the number of removed job folders."""
        context: RequestContext = info.context
        if context.caller.is_service:
            raise NotAuthorized("a service may only read: ask a user to start the cleanup")
        if force and not context.caller.is_admin:
            raise NotAuthorized("only an administrator may force the cleanup: leave out `force`")
        return context.services.cleaner.clean(cleanup_groups(context.caller), force=bool(force)).removed

    @staticmethod
    def resolve_extend_ph_job_artifact(
        _: None, info: ResolveInfo, where: Mapping[str, str], until: str
    ) -> ArtifactView:
        """Extend the retention."""
        until_seconds = parse_time(until)
        if until_seconds is None:
            raise BadInput(f"`until` must be an RFC 3339 timestamp such as 2030-01-31T12:00:00Z, got {until[:80]!r}")
        folder = resolve_folder(info.context, where)
        info.context.services.retention.extend(folder, int(until_seconds), info.context.caller)
        return _updated_artifact(info.context, folder)

    @staticmethod
    def resolve_pin_ph_job_artifact(
        _: None, info: ResolveInfo, where: Mapping[str, str], note: str | None = None
    ) -> ArtifactView:
        """Pin the artifacts."""
        folder = resolve_folder(info.context, where)
        info.context.services.retention.pin(folder, note or "", info.context.caller)
        return _updated_artifact(info.context, folder)

    @staticmethod
    def resolve_unpin_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> ArtifactView:
        """Remove the pin."""
        folder = resolve_folder(info.context, where)
        info.context.services.retention.unpin(folder, info.context.caller)
        return _updated_artifact(info.context, folder)

    @staticmethod
    def resolve_delete_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> RemovedFiles:
        """Delete the artifacts now."""
        context: RequestContext = info.context
        return context.services.cleaner.delete(resolve_folder(context, where), context.caller)


def resolve_folder(context: RequestContext, where: Mapping[str, str | None]) -> JobFolder:
    """Return the job folder that `where` selects, by id or by group and job. Raises BadInput and NotFoundError."""
    id_, group, job = where.get("id"), where.get("group_name"), where.get("job")
    jobs, caller = context.services.jobs, context.caller
    if id_ is not None and group is None and job is None:
        return folder_by_id(jobs, caller, id_)
    if id_ is None and group is not None and job is not None:
        return folder_by_group(jobs, caller, group, job)
    raise BadInput("`where` must have either the PhJob's id, or both groupName and job")


def parse_draft(context: RequestContext, data: Mapping[str, Any]) -> Draft:
    """Parse the job to create. Raises BadInput and NotAuthorized."""
    texts = {name: data.get(name) or "" for name in ("display_name", "group_id", "instance_type", "image")}
    command, deadline = data.get("command") or "", data.get("active_deadline_seconds")
    _check_draft(texts, command, deadline)
    return Draft(
        texts["display_name"],
        _changeable_group(context, texts["group_id"]),
        command,
        context.caller.id,
        context.caller.username,
        texts["image"],
        texts["instance_type"],
        deadline,
        parse_job_options(data, context.services.settings.max_retention_seconds),
    )


def _check_draft(texts: Mapping[str, str], command: str, deadline: int | None) -> None:
    if not texts["group_id"]:
        raise BadInput("`groupId` is missing: set it to the group's name")
    if not command.strip():
        raise BadInput("`command` is missing: set it to the command that the job runs")
    if "\0" in command:
        raise BadInput("`command` must not contain null characters")
    if any(len(text) > _MAX_TEXT_LENGTH or not text.isprintable() for text in texts.values()):
        raise BadInput(
            f"displayName, instanceType and image must be one line of at most {_MAX_TEXT_LENGTH} characters each"
        )
    if deadline is not None and not 0 < deadline <= _MAX_SECONDS:
        raise BadInput(f"`activeDeadlineSeconds` must be 1 or more, got {deadline}")


def _changeable_group(context: RequestContext, group: str) -> str:
    """Return the group's name as in the caller's token, or `group` if the token lacks it. Raises NotAuthorized."""
    path = visible_group(context.caller, group)
    if not context.caller.can_change(group):
        raise NotAuthorized(_READ_ONLY)
    if group in context.caller.groups:
        return group
    return next((own for own in context.caller.groups if group_path_or_none(own) == path), group)


def _changeable_job(context: RequestContext, name: str) -> Job:
    job = visible_job(context.services.jobs, context.caller, name)
    if not context.caller.can_change(job.group):
        raise NotAuthorized(_READ_ONLY)
    return job


def _create_job(context: RequestContext, draft: Draft) -> JobNode:
    job = context.services.jobs.create(draft)
    logger.info("job created", group=job.group, job=job.id, user=context.caller.username)
    return JobNode(job, context)


def _updated_artifact(context: RequestContext, folder: JobFolder) -> ArtifactView:
    """Return the artifacts as of now: the request may have cached their state before this mutation."""
    return ArtifactView(RequestContext(context.caller, context.services, context.usage, context.budget), folder)

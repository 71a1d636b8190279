"""The collector's report in GraphQL. Users can write to the report, so it is shown but decides nothing."""

# mypy: allow-subclassing-any

from dataclasses import replace
from typing import NamedTuple

from graphene import Boolean, Field, Float, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.schema.types import Size, count_field, format_optional_time
from artifacts.report import REASONS, Count, Report


class PhJobArtifactSkipped(ObjectType):
    """Files that were not collected for one reason."""

    reason = NonNull(String, description="A keyword.")
    explanation = NonNull(String, description="The reason as a phrase.")
    files = NonNull(Size)
    bytes = NonNull(Size)
    detail = String()
    paths = NonNull(List(NonNull(String)), description="The first of the files.")


class PhJobMain(ObjectType):
    """How the job's main container ended. Fields are null if the collector does not have the value."""

    exit_code = Int()
    signal = Int()
    reason = String()


class PhJobArtifactReport(ObjectType):
    """The collector's report. Times are RFC 3339."""

    state = NonNull(String)
    message = String()
    started_at = String()
    updated_at = String()
    sealed_at = String(description="The time of the last sync; null until then.")
    duration_seconds = Float()
    pod_uid = String()
    collector_version = String()
    main = Field(NonNull(PhJobMain))
    over_limit = String(description="The setting for jobs that exceed a limit: reject or keep.")
    limit_files = Field(Size)
    limit_bytes = Field(Size)
    limit_exceeded = Boolean()
    found = count_field("Files in the artifacts folder that were to be collected.")
    collected = count_field("Files that were copied to the store.")
    in_place = count_field("Files that were in the job folder already.")
    earlier_pod = count_field("Files in the job folder from an earlier pod of the job.")
    unstable = NonNull(
        List(NonNull(String)), description="The first of the files that changed while they were being copied."
    )
    skipped = NonNull(List(NonNull(PhJobArtifactSkipped)))

    @staticmethod
    def resolve_started_at(report: Report, _: ResolveInfo) -> str | None:
        """Return the start of the last sidecar process (RFC 3339)."""
        return format_optional_time(report.started_at)

    @staticmethod
    def resolve_updated_at(report: Report, _: ResolveInfo) -> str | None:
        """Return the time of the last sync (RFC 3339)."""
        return format_optional_time(report.updated_at)

    @staticmethod
    def resolve_sealed_at(report: Report, _: ResolveInfo) -> str | None:
        """Return the time of the seal (RFC 3339)."""
        return format_optional_time(report.sealed_at)

    @staticmethod
    def resolve_collector_version(report: Report, _: ResolveInfo) -> str:
        """Return the version of the collector."""
        return report.version

    @staticmethod
    def resolve_main(report: Report, _: ResolveInfo) -> "MainRow":
        """Return how main ended; None if that is unknown."""
        return MainRow(*map(report.main.get, ("exitCode", "signal", "reason")))

    @staticmethod
    def resolve_earlier_pod(report: Report, _: ResolveInfo) -> Count:
        """Return the files of an earlier pod of the job."""
        return report.earlier

    @staticmethod
    def resolve_skipped(report: Report, _: ResolveInfo) -> list["SkippedRow"]:
        """Return the files that were left out, by reason."""
        return [
            SkippedRow(reason, REASONS[reason], skipped.files, skipped.bytes, skipped.detail or None, skipped.paths)
            for reason, skipped in sorted(report.skipped.items())
        ]


class MainRow(NamedTuple):
    """The values of PhJobMain."""

    exit_code: int | None
    signal: int | None
    reason: str | None


class SkippedRow(NamedTuple):
    """The values of PhJobArtifactSkipped."""

    reason: str
    explanation: str
    files: int
    bytes: int
    detail: str | None
    paths: list[str]


def without_paths(report: Report) -> Report:
    """Return the report without the names of files."""
    skipped = {reason: replace(entry, paths=[], detail="") for reason, entry in report.skipped.items()}
    return replace(report, skipped=skipped, unstable=[])

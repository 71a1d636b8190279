"""The collector's report in GraphQL. It lies where users can write: what it says is shown, and decides nothing."""

# mypy: allow-subclassing-any

from dataclasses import replace
from typing import NamedTuple

from graphene import Boolean, Field, Float, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.jobs.job import format_time
from api.schema.types import Size, count_field
from artifacts.report import REASONS, Count, Report


class PhJobArtifactSkipped(ObjectType):
    """Files that were left out, for one reason."""

    reason = NonNull(String)
    explanation = NonNull(String)
    files = NonNull(Size)
    bytes = NonNull(Size)
    detail = String()
    paths = NonNull(List(NonNull(String)), description="The first of them.")


class PhJobMain(ObjectType):
    """How main ended, where the collector knows."""

    exit_code = Int()
    signal = Int()
    reason = String()


class PhJobArtifactReport(ObjectType):
    """What the collector says about its work. Times are RFC 3339."""

    state = NonNull(String)
    message = String()
    started_at = String()
    updated_at = String()
    sealed_at = String(description="Null until the last sync is done.")
    duration_seconds = Float()
    pod_uid = String()
    collector_version = String()
    main = Field(NonNull(PhJobMain))
    over_limit = String()
    limit_files = Field(Size)
    limit_bytes = Field(Size)
    limit_exceeded = Boolean()
    found = count_field("What was wanted.")
    collected = count_field("What was copied.")
    in_place = count_field("What lay in the job's folder already.")
    earlier_pod = count_field("What an earlier pod of the job left.")
    unstable = NonNull(List(NonNull(String)), description="Files that changed under the copy; the first of them.")
    skipped = NonNull(List(NonNull(PhJobArtifactSkipped)))

    @staticmethod
    def resolve_started_at(report: Report, _: ResolveInfo) -> str | None:
        return time_text(report.started_at)

    @staticmethod
    def resolve_updated_at(report: Report, _: ResolveInfo) -> str | None:
        return time_text(report.updated_at)

    @staticmethod
    def resolve_sealed_at(report: Report, _: ResolveInfo) -> str | None:
        return time_text(report.sealed_at)

    @staticmethod
    def resolve_collector_version(report: Report, _: ResolveInfo) -> str:
        return report.version

    @staticmethod
    def resolve_main(report: Report, _: ResolveInfo) -> "MainRow":
        return MainRow(*map(report.main.get, ("exitCode", "signal", "reason")))

    @staticmethod
    def resolve_earlier_pod(report: Report, _: ResolveInfo) -> Count:
        return report.earlier

    @staticmethod
    def resolve_skipped(report: Report, _: ResolveInfo) -> list["SkippedRow"]:
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
    """What PhJobArtifactSkipped shows."""

    reason: str
    explanation: str
    files: int
    bytes: int
    detail: str | None
    paths: list[str]


def without_paths(report: Report) -> Report:
    """What it says of the collection, with no word on which files there were."""
    skipped = {reason: replace(each, paths=[], detail="") for reason, each in report.skipped.items()}
    return replace(report, skipped=skipped, unstable=[])


def time_text(seconds: float | None) -> str | None:
    """RFC 3339; null where there is no time."""
    return format_time(seconds) if seconds else None

"""Where things lie in the shared store, and what `expiredAt` looks like.

groups/<group path>/jobArtifacts/<job>/<path of an artifact>
                                      /.primehub/metadata/{expiredAt,manifest.jsonl,report.json}
                                      /.primehub/tmp/<number>      copies on their way, only while a sync runs
                                      /.metadata/expiredAt         the same, where PrimeHub looks for it
"""

from artifacts.names import check_job_name, group_path

JOB_ARTIFACTS = "jobArtifacts"
METADATA = ".primehub/metadata"
LEGACY_METADATA = ".metadata"
TEMPORARY = ".primehub/tmp"

EXPIRED_AT = f"{METADATA}/expiredAt"
LEGACY_EXPIRED_AT = f"{LEGACY_METADATA}/expiredAt"
MANIFEST = f"{METADATA}/manifest.jsonl"
REPORT = f"{METADATA}/report.json"


def job_folder(job: str) -> str:
    """The job folder below the group's PHFS."""
    return f"{JOB_ARTIFACTS}/{check_job_name(job)}"


def job_prefix(group: str, job: str) -> str:
    """The job folder's key prefix in the object store, with its closing slash: job-1 never shows job-10."""
    return f"groups/{group_path(group)}/{job_folder(job)}/"


def format_expiry(at: float) -> bytes:
    """The content of `expiredAt`: UNIX seconds, one line."""
    return b"%d\n" % int(at)

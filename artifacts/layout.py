"""Paths in the shared store, and the format of `expiredAt`.

groups/<group path>/jobArtifacts/<job>/<path of an artifact>
                                      /.primehub/metadata/{expiredAt,manifest.jsonl,report.json}
                                      /.primehub/tmp/<number>      unfinished copies, only during a sync
                                      /.metadata/expiredAt         the same content, at the path that PrimeHub uses
                                      /.metadata/monitoring        metrics of main, by PrimeHub's monitoring agent
"""

from artifacts.names import check_job_name, group_path

JOB_ARTIFACTS = "jobArtifacts"
METADATA = ".primehub/metadata"
LEGACY_METADATA = ".metadata"
TEMPORARY = ".primehub/tmp"

EXPIRED_AT = f"{METADATA}/expiredAt"
LEGACY_EXPIRED_AT = f"{LEGACY_METADATA}/expiredAt"
LEGACY_MONITORING = f"{LEGACY_METADATA}/monitoring"  # written by PrimeHub's agent in main
MANIFEST = f"{METADATA}/manifest.jsonl"
REPORT = f"{METADATA}/report.json"


def job_folder(job: str) -> str:
    """Return the path of the job folder in the group's PHFS."""
    return f"{JOB_ARTIFACTS}/{check_job_name(job)}"


def job_prefix(group: str, job: str) -> str:
    """Return the key prefix of the job folder in the store. It ends with a slash, so job-1 does not match job-10."""
    return f"groups/{group_path(group)}/{job_folder(job)}/"


def format_expiry(expires_at: float) -> bytes:
    """Return the content of `expiredAt`: UNIX seconds and a newline."""
    return b"%d\n" % int(expires_at)

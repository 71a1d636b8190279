"""The collector's settings: one table of environment variables, and the frozen object it makes.

The names continue PrimeHub's (`PHJOB_ARTIFACT_*`). The controller sets them on the sidecar, local mode on its
own; docs/contract.md and a test are held to this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.environment import Setting, choice, flag, listen, number, read_settings, words
from artifacts.log import LOG_FORMAT
from artifacts.names import check_job_name, group_path

MIB = 1024 * 1024
PREFIX = "PHJOB_ARTIFACT_"
MAX_RETENTION_SECONDS = 100 * 365 * 86400
MAX_GLOBS = 64


def _mode(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or set(text) & set("89"):
        raise ValueError("use an octal mode, such as 0644")
    return int(text, 8)


def _absolute(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError("use an absolute path without '..'")
    return "/" + "/".join(part for part in text.split("/") if part not in ("", "."))


def _paths(text: str) -> tuple[str, ...]:
    return tuple(_absolute(part) for part in text.split(":") if part)


def _globs(text: str) -> tuple[str, ...]:
    globs = words(text)
    if len(globs) > MAX_GLOBS or any(len(glob) > 256 for glob in globs):
        raise ValueError(f"use at most {MAX_GLOBS} globs of at most 256 characters")
    return globs


def _job(text: str) -> str:
    return check_job_name(text)


def _group(text: str) -> str:
    return group_path(text) and text if text else ""


def _row(field: str, default: str, parse: Callable[[str], Any], text: str) -> Setting:
    return Setting(field, PREFIX + field.upper(), default, parse, text)


SETTINGS_TABLE = (
    Setting("job", "PHJOB_NAME", None, _job, "name of the PhJob, which names the job folder"),
    Setting("group", "PRIMEHUB_GROUP", "", _group, "the job's group; for the log and the length of keys only"),
    _row("enabled", "true", flag, "false: collect nothing"),
    _row("limit_size_mb", "100", number(0, 2**40), "most that is kept of a job, in MB of 1024 x 1024 bytes"),
    _row("limit_files", "1000", number(0, 10**9), "most files that are kept of a job"),
    _row("over_limit", "reject", choice("reject", "keep"), "past a limit: reject keeps nothing, keep keeps what fits"),
    _row(
        "retention_seconds",
        "604800",
        number(1, MAX_RETENTION_SECONDS),
        "seconds from the job's end to its artifacts' expiry",
    ),
    _row("include", "", _globs, "globs of the files to collect, separated by commas or lines; empty: all"),
    _row("exclude", "", _globs, "globs of files not to collect; they win over include"),
    _row("digest", "sha256", choice("sha256", "none"), "what the manifest says of a file's content"),
    _row(
        "sync_seconds",
        "10",
        number(0.1, 86400, float),
        "seconds between two looks; more where one is slow",
    ),
    _row(
        "quiet_seconds",
        "2",
        number(0, 3600, float),
        "seconds a file must rest to be copied while main runs",
    ),
    _row(
        "grace_seconds",
        "30",
        number(1, 86400, float),
        "the pod's grace period, for the last sync",
    ),
    _row(
        "linger_seconds",
        "6",
        number(0, 3600, float),
        "FUSE mount: seconds to stay for write-back; 0: none",
    ),
    _row(
        "linger_files_per_second",
        "100",
        number(1, 10**6),
        "FUSE mount: files that write-back stores in a second",
    ),
    _row(
        "linger_mb_per_second",
        "20",
        number(1, 10**6),
        "FUSE mount: MB that write-back stores in a second",
    ),
    _row("path", "/home/jovyan/artifacts", _absolute, "the artifacts folder, as main sees it"),
    _row("root", "/job", _absolute, "where the sidecar sees main's volumes, at their paths"),
    _row(
        "volumes",
        "",
        _paths,
        "main's volumes below the root, separated by colons; empty: all",
    ),
    _row("hidden_paths", "", _paths, "paths in main that the sidecar cannot see, such as nested mounts"),
    _row("phfs", "/phfs", _absolute, "the group's PHFS, as main sees it"),
    _row("store", "/phfs", _absolute, "the group's PHFS, where the sidecar writes"),
    _row("file_mode", "0644", _mode, "mode of copies on a store with modes; executable files stay so"),
    _row("folder_mode", "0777", _mode, "mode of folders on a store with modes"),
    _row("metrics_listen", ":19464", listen, "host:port of /metrics and /healthz; empty: none"),
    _row("termination_log", "/dev/termination-log", _absolute, "file that takes the termination summary"),
    _row(
        "main_status",
        "",
        lambda text: _absolute(text) if text else "",
        "JSON file that tells how main ended, if any",
    ),
    _row("pod_uid", "", lambda text: text[:64], "UID of the pod, which tells this pod's files from an earlier one's"),
    _row("log_level", "info", choice("debug", "info", "warning", "error"), "least level of the log"),
    LOG_FORMAT,
)


@dataclass(frozen=True)
class SidecarSettings:
    """What one sidecar was told. Fields are SETTINGS_TABLE's rows; sizes in MB are also given in bytes."""

    job: str
    group: str
    enabled: bool
    limit_size_mb: int
    limit_files: int
    over_limit: str
    retention_seconds: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    digest: str
    sync_seconds: float
    quiet_seconds: float
    grace_seconds: float
    linger_seconds: float
    linger_files_per_second: int
    linger_mb_per_second: int
    path: str
    root: str
    volumes: tuple[str, ...]
    hidden_paths: tuple[str, ...]
    phfs: str
    store: str
    file_mode: int
    folder_mode: int
    metrics_listen: tuple[str, int] | None
    termination_log: str
    main_status: str
    pod_uid: str
    log_level: str
    log_format: str

    @property
    def limit_size_bytes(self) -> int:
        return self.limit_size_mb * MIB

    @property
    def linger_bytes_per_second(self) -> int:
        return self.linger_mb_per_second * MIB

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "SidecarSettings":
        """Read every row from `environ`; raise one ConfigError that names all that is wrong."""
        return cls(**read_settings(SETTINGS_TABLE, environ))


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Names in `environ` that look like settings and are none (a misspelled one would be ignored silently)."""
    known = {row.env for row in SETTINGS_TABLE}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)

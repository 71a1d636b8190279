"""The settings of the collector, and METRICS_GROUPS, which the controller and the API share.

The names follow PrimeHub's (`PHJOB_ARTIFACT_*`). The controller sets them on the sidecar, local mode on its collector.
A test compares docs/contract.md with SETTINGS_TABLE.
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


def _id(text: str) -> int | None:
    return number(0, 2**32 - 2)(text) if text else None


def _job(text: str) -> str:
    return check_job_name(text)


def _group(text: str) -> str:
    return group_path(text) and text if text else ""


def _row(field: str, default: str, parse: Callable[[str], Any], text: str) -> Setting:
    return Setting(field, PREFIX + field.upper(), default, parse, text)


SETTINGS_TABLE = (
    Setting("job", "PHJOB_NAME", None, _job, "name of the PhJob and of its job folder"),
    Setting(
        "group",
        "PRIMEHUB_GROUP",
        "",
        _group,
        "group of the job; used only in log lines and to compute the length of keys",
    ),
    _row("enabled", "true", flag, "false disables collection"),
    _row("limit_size_mb", "100", number(0, 2**40), "maximum size of a job's artifacts, in MB of 1024 x 1024 bytes"),
    _row("limit_files", "1000", number(0, 10**9), "maximum number of a job's artifacts"),
    _row(
        "over_limit",
        "reject",
        choice("reject", "keep"),
        "if a limit is exceeded: reject collects nothing, keep collects the files that fit",
    ),
    _row(
        "links",
        "follow",
        choice("follow", "skip"),
        "links in the artifacts folder: follow collects the files they lead to, as far as the limits leave room; "
        "skip leaves them out",
    ),
    _row(
        "retention_seconds",
        "604800",
        number(1, MAX_RETENTION_SECONDS),
        "seconds from the end of the job until its artifacts expire",
    ),
    _row(
        "include",
        "",
        _globs,
        "globs of files to collect, separated by commas or newlines, without braces; empty: all files",
    ),
    _row("exclude", "", _globs, "globs of files not to collect, without braces; they take precedence over include"),
    _row("digest", "sha256", choice("sha256", "none"), "digest of each file in the manifest"),
    _row(
        "sync_seconds",
        "10",
        number(0.1, 86400, float),
        "seconds between two syncs; longer if scans are slow",
    ),
    _row(
        "quiet_seconds",
        "2",
        number(0, 3600, float),
        "seconds that a file must stay unchanged before it is copied while main runs",
    ),
    _row(
        "grace_seconds",
        "30",
        number(0, 86400, float),
        "grace period of the pod in seconds, in which the last sync must end; 0: no limit",
    ),
    _row(
        "linger_seconds",
        "6",
        number(0, 3600, float),
        "on a FUSE mount: seconds to wait for write-back, on top of the time its files and bytes take; 0: do not wait",
    ),
    _row(
        "linger_files_per_second",
        "100",
        number(1, 10**6),
        "on a FUSE mount: write-back rate in files per second",
    ),
    _row(
        "linger_mb_per_second",
        "20",
        number(1, 10**6),
        "on a FUSE mount: write-back rate in MB per second",
    ),
    _row("path", "/home/jovyan/artifacts", _absolute, "the artifacts folder, as a path in main"),
    _row("root", "/job", _absolute, "the folder where the sidecar has main's volumes, at their paths in main"),
    _row(
        "volumes",
        "",
        _paths,
        "main's volumes below the root, as paths in main separated by colons; empty: all",
    ),
    _row(
        "hidden_paths",
        "",
        _paths,
        "paths in main that the sidecar cannot see, such as nested mounts; separated by colons",
    ),
    _row(
        "private_volumes",
        "",
        _paths,
        "main's volumes that no other pod uses; on other volumes, only files that main's user can read are collected",
    ),
    _row("main_uid", "", _id, "user ID of main, if it is known; 0: main can read all files"),
    _row("main_gid", "", _id, "group ID of main, if it is known"),
    _row("phfs", "/phfs", _absolute, "the group's PHFS, as a path in main"),
    _row("store", "/phfs", _absolute, "the group's PHFS, as a path in the sidecar, which writes there"),
    _row("file_mode", "0644", _mode, "mode of copies, if the store has modes; executable files stay executable"),
    _row("folder_mode", "0777", _mode, "mode of folders, if the store has modes"),
    _row("metrics_listen", ":19464", listen, "host:port of /metrics and /healthz; empty: disabled"),
    _row("termination_log", "/dev/termination-log", _absolute, "file to which the termination summary is written"),
    _row(
        "main_status",
        "",
        lambda text: _absolute(text) if text else "",
        "JSON file that reports how main ended; empty: none",
    ),
    _row(
        "pod_uid",
        "",
        lambda text: text[:64],
        "UID of the pod, which distinguishes its files from those of an earlier pod",
    ),
    _row("log_level", "info", choice("debug", "info", "warning", "error"), "minimum level of log lines"),
    LOG_FORMAT,
)


METRICS_GROUPS = Setting(
    "metrics_groups",
    "PHJOB_METRICS_GROUPS",
    "0",
    number(0, 10_000),
    'maximum number of groups labelled individually; the rest are counted as group="other"; 0 disables the label',
)


@dataclass(frozen=True)
class SidecarSettings:
    """The settings of one sidecar: a field for each row of SETTINGS_TABLE."""

    job: str
    group: str
    enabled: bool
    limit_size_mb: int
    limit_files: int
    over_limit: str
    links: str
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
    private_volumes: tuple[str, ...]
    main_uid: int | None
    main_gid: int | None
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
        """The size limit in bytes."""
        return self.limit_size_mb * MIB

    @property
    def linger_bytes_per_second(self) -> int:
        """The write-back rate in bytes per second."""
        return self.linger_mb_per_second * MIB

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "SidecarSettings":
        """Read the settings from `environ`. Raises ConfigError with all problems."""
        return cls(**read_settings(SETTINGS_TABLE, environ))


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Return the names in `environ` that have the settings' prefix but are not settings, so that typos are noticed."""
    names = {row.env for row in SETTINGS_TABLE}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in names)

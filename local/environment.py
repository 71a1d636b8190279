"""Builds the environment variables of a job's two processes, main and the sidecar."""

import os
from collections.abc import Mapping
from pathlib import Path

from artifacts.settings import PREFIX, SidecarSettings
from local.paths import JobPaths


def module_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with a PYTHONPATH that lets `python -P -m` find our packages from any working directory."""
    root = str(Path(__file__).resolve().parents[1])
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))}


def sidecar_environ(environ: Mapping[str, str], paths: JobPaths, uid: str) -> dict[str, str]:
    """Return the sidecar's environment: the runner's own, with the settings that local mode fixes.

    The sidecar sees the same paths as main, so its root is "/". Nothing kills it, so there is no grace period unless
    the user sets one.
    """
    return (
        {PREFIX + "GRACE_SECONDS": "0"}
        | module_environ(environ)
        | {
            "PHJOB_NAME": paths.job,
            "PRIMEHUB_GROUP": paths.group,
            PREFIX + "PATH": str(paths.artifacts),
            PREFIX + "ROOT": "/",
            PREFIX + "VOLUMES": f"{paths.home}:{paths.phfs}",
            PREFIX + "HIDDEN_PATHS": "",
            PREFIX + "PRIVATE_VOLUMES": "",
            PREFIX + "MAIN_UID": str(os.geteuid()),
            PREFIX + "MAIN_GID": str(os.getegid()),
            PREFIX + "PHFS": str(paths.phfs),
            PREFIX + "STORE": str(paths.phfs),
            PREFIX + "TERMINATION_LOG": str(paths.termination_log),
            PREFIX + "MAIN_STATUS": str(paths.main_status),
            PREFIX + "METRICS_LISTEN": "",
            PREFIX + "POD_UID": uid,
        }
    )


def main_environ(environ: Mapping[str, str], settings: SidecarSettings, user: str) -> dict[str, str]:
    """Return main's environment: the runner's own without our settings, plus the variables that PrimeHub sets."""
    own = {name: value for name, value in environ.items() if not name.startswith("PHJOB_")}
    return own | {
        "PHJOB_NAME": settings.job,
        "PHJOB_ARTIFACT_ENABLED": str(settings.enabled).lower(),
        "PHJOB_ARTIFACT_LIMIT_SIZE_MB": str(settings.limit_size_mb),
        "PHJOB_ARTIFACT_LIMIT_FILES": str(settings.limit_files),
        "PHJOB_ARTIFACT_RETENTION_SECONDS": str(settings.retention_seconds),
        "PRIMEHUB_GROUP": settings.group,
        "PRIMEHUB_USER": user,
        "GROUP_NAME": settings.group,
    }

"""What the two processes of a job are told by their environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from artifacts.settings import PREFIX, SidecarSettings
from local.places import Places


def module_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` such that `python -P -m` finds this product's packages from any working directory."""
    root = str(Path(__file__).resolve().parents[1])
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))}


def sidecar_environ(environ: Mapping[str, str], places: Places, uid: str) -> dict[str, str]:
    """The runner's own environment, and over it what one machine decides: the paths are main's own."""
    return module_environ(environ) | {
        "PHJOB_NAME": places.job,
        "PRIMEHUB_GROUP": places.group,
        PREFIX + "PATH": str(places.artifacts),
        PREFIX + "ROOT": "/",
        PREFIX + "VOLUMES": f"{places.home}:{places.phfs}",
        PREFIX + "HIDDEN_PATHS": "",
        PREFIX + "PHFS": str(places.phfs),
        PREFIX + "STORE": str(places.phfs),
        PREFIX + "TERMINATION_LOG": str(places.termination_log),
        PREFIX + "MAIN_STATUS": str(places.main_status),
        PREFIX + "METRICS_LISTEN": "",
        PREFIX + "POD_UID": uid,
    }


def main_environ(environ: Mapping[str, str], settings: SidecarSettings, user: str) -> dict[str, str]:
    """The runner's own environment without the collector's settings, and what PrimeHub tells a job."""
    kept = {name: value for name, value in environ.items() if not name.startswith("PHJOB_")}
    return kept | {
        "PHJOB_NAME": settings.job,
        "PHJOB_ARTIFACT_ENABLED": str(settings.enabled).lower(),
        "PHJOB_ARTIFACT_LIMIT_SIZE_MB": str(settings.limit_size_mb),
        "PHJOB_ARTIFACT_LIMIT_FILES": str(settings.limit_files),
        "PHJOB_ARTIFACT_RETENTION_SECONDS": str(settings.retention_seconds),
        "PRIMEHUB_GROUP": settings.group,
        "PRIMEHUB_USER": user,
        "GROUP_NAME": settings.group,
    }

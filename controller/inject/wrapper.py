"""Keeps PrimeHub's wrapper in main from copying the artifacts a second time.

PrimeHub's `run-job.sh` runs the job's command. If `PHJOB_ARTIFACT_ENABLED` is `true`, it starts PrimeHub's monitoring
agent before the command, and afterwards copies the folder that `ARTIFACTS_SRC` names. Injection therefore leaves the
first variable alone, which would also stop the monitoring, and sets the second to a path that cannot exist.
"""

from collections.abc import Mapping
from typing import Any

from controller.inject.pod import Document, get_list

WRAPPER = "run-job.sh"
SOURCE_VARIABLE = "ARTIFACTS_SRC"
NO_SOURCE = "/dev/null/collected-by-the-sidecar"  # a path below a file: nobody can create it, not even root in main
_SWITCH = "PHJOB_ARTIFACT_ENABLED"
_DIVERSION = {"name": SOURCE_VARIABLE, "value": NO_SOURCE}


def runs_wrapper(main: Mapping[str, Any]) -> bool:
    """Whether main runs PrimeHub's wrapper, also behind a command that another webhook has put in front of it."""
    return any(WRAPPER in str(text) for field in ("command", "args") for text in get_list(main, field))


def copies_artifacts(main: Mapping[str, Any]) -> bool:
    """Whether PrimeHub's wrapper in main copies the artifacts."""
    values = {variable.get("name"): variable.get("value") for variable in get_list(main, "env")}
    return runs_wrapper(main) and values.get(_SWITCH) == "true" and values.get(SOURCE_VARIABLE) != NO_SOURCE


def divert_wrapper(main: Document) -> None:
    """Point the wrapper in main, if it has one, at a source that does not exist, so that it copies nothing.

    The last of several variables with one name counts, so main's own variable can stay for `restore_wrapper`.
    """
    if runs_wrapper(main):
        main["env"] = [*get_list(main, "env"), dict(_DIVERSION)]


def restore_wrapper(main: Document) -> None:
    """Undo `divert_wrapper`."""
    others = [variable for variable in get_list(main, "env") if variable != _DIVERSION]
    if len(others) < len(get_list(main, "env")):
        main["env"] = others

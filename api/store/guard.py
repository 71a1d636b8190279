"""Checks keys and prefixes. The last line of defence before anything is removed."""

import re
from collections.abc import Sequence

from artifacts.errors import InvalidName
from artifacts.layout import job_prefix
from artifacts.names import is_key

_JOB_FOLDER = re.compile(r"groups/([^/]+)/jobArtifacts/([^/]+)/")


def check_removable(prefix: str, last: Sequence[str] = ()) -> None:
    """Raise ValueError unless `prefix` is exactly one job folder and `last` are names of files in it."""
    match = _JOB_FOLDER.fullmatch(prefix)
    try:
        allowed = match is not None and job_prefix(match[1], match[2]) == prefix
    except InvalidName:
        allowed = False
    if not allowed:
        raise ValueError(f"only a job folder may be removed, got {prefix[:300]!r}")
    if not all(is_key(name) for name in last):
        raise ValueError(f"all names in `last` must be files in the job folder, got {list(last)!r}")


def check_prefix(prefix: str) -> str:
    """Return `prefix` without its slash; raise ValueError if it has none, since job-1 would include job-10."""
    if not prefix.endswith("/"):
        raise ValueError(f"a prefix must end with a slash, got {prefix[:300]!r}")
    return prefix[:-1]


def check_key(key: str) -> str:
    """Return `key` if a file may be written there, else raise InvalidName."""
    if not is_key(key):
        raise InvalidName("key", key, "it has control characters, or an empty, '.' or '..' component")
    return key

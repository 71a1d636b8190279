"""What may be asked of a store at all. The last line of defence before anything is removed."""

import re
from collections.abc import Sequence

from artifacts.errors import InvalidName
from artifacts.layout import job_prefix
from artifacts.names import is_key

_JOB_FOLDER = re.compile(r"groups/([^/]+)/jobArtifacts/([^/]+)/")


def check_removable(prefix: str, last: Sequence[str] = ()) -> None:
    """Raise ValueError unless `prefix` is exactly one job's folder, and `last` are names of files below it."""
    found = _JOB_FOLDER.fullmatch(prefix)
    try:
        allowed = found is not None and job_prefix(found[1], found[2]) == prefix
    except InvalidName:
        allowed = False
    if not allowed:
        raise ValueError(f"only a job's folder may be removed, and {prefix[:300]!r} is none")
    if not all(is_key(name) for name in last):
        raise ValueError(f"not all of {list(last)!r} are names of files below the job's folder")


def check_prefix(prefix: str) -> str:
    """Return `prefix` without its slash, else raise ValueError: without one, job-1 would show job-10."""
    if not prefix.endswith("/"):
        raise ValueError(f"a prefix ends with a slash, and {prefix[:300]!r} does not")
    return prefix[:-1]


def check_key(key: str) -> str:
    """Return `key` if something may be written there, else raise InvalidName."""
    if not is_key(key):
        raise InvalidName("key", key, "it has control characters, or an empty, '.' or '..' component")
    return key

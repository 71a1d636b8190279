"""Names that are safe: jobs, groups, and the relative paths of artifacts.

A job's file may have any bytes in its name; a key in the store may not. `encode_path` maps the one to the
other without loss, so that listing, downloading and syncing agree on what a file is called.
"""

import re

from artifacts.errors import InvalidName

# Kubernetes' DNS-1123 subdomain: the job's name is also its pod's name.
_JOB = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_GROUP = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")
_JOB_RULE = "use 1 to 253 lower-case letters, digits, '-' or '.', and start and end with a letter or digit"
_GROUP_RULE = "use 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"

# First path components that hold the collector's own files, never a job's.
RESERVED = (".primehub", ".metadata")

MAX_NAME_BYTES = 255  # NAME_MAX of the file systems a store stands on
MAX_KEY_BYTES = 1024  # what S3 allows for a whole key

# Control characters, bytes that are no UTF-8 (as surrogates), characters that XML listings cannot carry.
_UNSAFE = "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
_RAW = re.compile(_UNSAFE)
_ESCAPED = re.compile(_UNSAFE + "|%(?=[0-9A-Fa-f]{2})")  # ... and a "%" that would read as an escape
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def group_path(group: str) -> str:
    """The group's folder name as PrimeHub derives it: lower case, "_" becomes "-"."""
    if len(group) > 63 or not _GROUP.fullmatch(group):
        raise InvalidName("group", group, _GROUP_RULE)
    return group.lower().replace("_", "-")


def check_job_name(job: str) -> str:
    """Return `job` if Kubernetes would take it as a pod's name, else raise InvalidName."""
    if len(job) > 253 or not _JOB.fullmatch(job):
        raise InvalidName("job", job, _JOB_RULE)
    return job


def encode_path(path: str) -> str:
    """The path of an artifact in the store, for the relative path of a file as `os.scandir` gives it.

    Printable UTF-8 stays as it is; other bytes become `%XX`, a `%` that two hexadecimal digits follow `%25`,
    and the dot of a reserved first component `%2E`. `decode_path` gives back the original bytes.
    """
    plain = path.isascii() and path.isprintable() and "%" not in path
    encoded = path if plain else _ESCAPED.sub(_percent, path)
    if path.startswith(".") and path.split("/", 1)[0] in RESERVED:
        encoded = "%2E" + encoded[1:]
    return encoded


def decode_path(encoded: str) -> bytes:
    """The bytes of the file name that `encode_path` was given."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), encoded.encode())


def check_path(path: str, prefix_bytes: int = 0) -> str:
    """Return `path` if it may be an artifact's encoded path in the store, else raise InvalidName.

    `prefix_bytes` is the length of the key up to it (`groups/<group>/jobArtifacts/<job>/`).
    """
    reason = path_problem(path, prefix_bytes)
    if reason:
        raise InvalidName("path", path, reason)
    return path


def path_problem(path: str, prefix_bytes: int = 0) -> str | None:
    """Why `path` may not be an artifact's encoded path, or None. Takes hostile input."""
    if _RAW.search(path):
        return "it has control characters or bytes that are not encoded"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it is empty, absolute or has an empty, '.' or '..' component"
    if parts[0] in RESERVED:
        return f"{parts[0]} holds the collector's own files"
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        return f"a component is longer than {MAX_NAME_BYTES} bytes"
    if len(path.encode()) + prefix_bytes > MAX_KEY_BYTES:
        return f"the whole key is longer than {MAX_KEY_BYTES} bytes"
    return None


def is_key(text: str) -> bool:
    """Whether `text` may be a key of the store, or the end of one: nothing in it to encode, and no empty, "." or ".."
    component. Takes hostile input."""
    return not _RAW.search(text) and not any(part in ("", ".", "..") for part in text.split("/"))


def _percent(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-8", "surrogateescape")
    return "".join(f"%{byte:02X}" for byte in raw)

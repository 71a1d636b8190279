"""Validation of the names of jobs and groups, and the encoding of file paths as keys of the store.

A file name can contain any bytes, but a key of the store cannot. `encode_path` maps paths to keys without loss, so that
sync, listing and download use the same name for a file.
"""

import re

from artifacts.errors import InvalidName

# A DNS-1123 subdomain of Kubernetes, because the job's name is also its pod's name.
_JOB = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_GROUP = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")
_JOB_RULE = "use 1 to 253 lower-case letters, digits, '-' or '.', and start and end with a letter or digit"
_GROUP_RULE = "use 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"

# First path components that are reserved for the collector's own files.
RESERVED = (".primehub", ".metadata")

MAX_NAME_BYTES = 255  # NAME_MAX of the file systems below a store
MAX_KEY_BYTES = 1024  # limit of S3 for a key

# Control characters, bytes that are not UTF-8 (as surrogates), and characters that cannot appear in XML listings.
_UNSAFE = "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
_RAW = re.compile(_UNSAFE)
_ESCAPED = re.compile(_UNSAFE + "|%(?=[0-9A-Fa-f]{2})")  # also a "%" that would be decoded as an escape
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def group_path(group: str) -> str:
    """Return the group's folder name as PrimeHub derives it: in lower case, with "-" for "_". Raises InvalidName."""
    if len(group) > 63 or not _GROUP.fullmatch(group):
        raise InvalidName("group", group, _GROUP_RULE)
    return group.lower().replace("_", "-")


def check_job_name(job: str) -> str:
    """Return `job` if it is valid as a pod's name. Raises InvalidName."""
    if len(job) > 253 or not _JOB.fullmatch(job):
        raise InvalidName("job", job, _JOB_RULE)
    return job


def encode_path(path: str) -> str:
    """Return the path in the store for the relative path of a file, decoded as `os.scandir` does.

    Printable UTF-8 is unchanged. Other bytes become `%XX`, a `%` before two hexadecimal digits becomes `%25`, and the
    dot of a reserved first component becomes `%2E`. `decode_path` is the inverse.
    """
    plain = path.isascii() and path.isprintable() and "%" not in path
    encoded = path if plain else _ESCAPED.sub(_percent, path)
    if path.startswith(".") and path.split("/", 1)[0] in RESERVED:
        encoded = "%2E" + encoded[1:]
    return encoded


def decode_path(encoded: str) -> bytes:
    """Return the bytes of the original path."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), encoded.encode())


def check_path(path: str, prefix_bytes: int = 0) -> str:
    """Return `path` if it is valid as the encoded path of an artifact. Raises InvalidName.

    `prefix_bytes` is the length of the key before the path (`groups/<group>/jobArtifacts/<job>/`).
    """
    reason = path_problem(path, prefix_bytes)
    if reason:
        raise InvalidName("path", path, reason)
    return path


def path_problem(path: str, prefix_bytes: int = 0) -> str | None:
    """Return why `path` is not valid as the encoded path of an artifact, or None if it is. Safe for hostile input."""
    if _RAW.search(path):
        return "it contains control characters or bytes that are not encoded"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it is empty or absolute, or has an empty, '.' or '..' component"
    if parts[0] in RESERVED:
        return f"{parts[0]} is reserved for the collector's own files"
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        return f"a component is longer than {MAX_NAME_BYTES} bytes"
    if len(path.encode()) + prefix_bytes > MAX_KEY_BYTES:
        return f"the whole key is longer than {MAX_KEY_BYTES} bytes"
    return None


def is_key(text: str) -> bool:
    """Whether `text` is valid as a key of the store or the end of a key. Safe for hostile input.

    It must contain nothing that `encode_path` encodes, and no empty, "." or ".." component.
    """
    return not _RAW.search(text) and not any(part in ("", ".", "..") for part in text.split("/"))


def _percent(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return "".join(f"%{byte:02X}" for byte in raw)

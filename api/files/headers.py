"""Builds the headers of downloads. A job's files are untrusted and never run on the page's origin. Pure.

The content type depends only on the name's suffix, so HEAD and ranges agree and no file is read for it. A file with an
unlisted suffix is an attachment without a type: HTML, SVG, XML and PDF can contain scripts, and a list of such types
could be incomplete.
"""

from email.utils import formatdate
from urllib.parse import quote

from api.files.names import safe_name
from api.store.store import FileStat

_TEXT = "text/plain; charset=utf-8"
_UNKNOWN = "application/octet-stream"
_IMAGES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_TEXT_SUFFIXES = {
    "c", "cc", "cfg", "conf", "cpp", "csv", "diff", "err", "go", "h", "hpp", "ini", "ipynb", "java", "jl", "js",
    "json", "jsonl", "log", "lua", "md", "ndjson", "out", "patch", "pl", "properties", "py", "r", "rb", "rs", "rst",
    "scala", "sh", "sql", "stderr", "stdout", "tex", "toml", "ts", "tsv", "txt", "yaml", "yml",
}  # fmt: skip
_TEXT_NAMES = {"changelog", "dockerfile", "license", "log", "makefile", "readme", "stderr", "stdout"}
_PLAIN = frozenset(chr(code) for code in range(0x20, 0x7F)) - set('"\\%')
_YEAR_10000 = 253402300800  # HTTP dates have four digits for the year

# `sandbox` removes the page's origin from any content that a browser displays. Browsers display text with inline style.
PROTECTION_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def file_headers(path: str, stat: FileStat, download: bool) -> dict[str, str]:
    """Return the headers of a response for the file at the encoded `path`, except its length."""
    name = path.rsplit("/", 1)[-1]
    kind = content_type(name)
    headers = {
        "Content-Type": kind,
        "Content-Disposition": disposition(safe_name(name), attachment=download or kind == _UNKNOWN),
        "ETag": f'"{stat.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache, no-transform",  # revalidate each time: artifacts expire
    }
    if 0 <= stat.modified_at < _YEAR_10000:
        headers["Last-Modified"] = formatdate(stat.modified_at, usegmt=True)
    return headers


def archive_headers(job: str, path: str) -> dict[str, str]:
    """Return the headers of a response with the ZIP of the job, or of its folder `path`."""
    name = f"{job}-{safe_name(path.rsplit('/', 1)[-1])}.zip" if path else f"{job}.zip"
    return {
        "Content-Type": "application/zip",
        "Content-Disposition": disposition(safe_name(name), attachment=True),
        "Accept-Ranges": "none",
        "Cache-Control": "private, no-store, no-transform",
    }


def content_type(name: str) -> str:
    """Return the content type with which a browser may display the file."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in _IMAGES:
        return _IMAGES[suffix]
    return _TEXT if suffix in (_TEXT_SUFFIXES if "." in name else _TEXT_NAMES) else _UNKNOWN


def disposition(name: str, attachment: bool) -> str:
    """Return the Content-Disposition (RFC 6266) with an ASCII name for old clients. `name` is a result of safe_name."""
    plain = "".join(letter if letter in _PLAIN else "_" for letter in name)
    kind = "attachment" if attachment else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

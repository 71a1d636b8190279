"""Headers of downloads. A job's files are untrusted: none is ever active content on the page's origin. Pure.

The type is told by the name's ending alone, so that a HEAD and each range agree and no store is read for it. What is
on neither list is an attachment of no type: HTML, SVG, XML and PDF can hold scripts, and a list cannot forget one.
"""

from email.utils import formatdate
from urllib.parse import quote

from api.files.names import safe_name
from api.store.store import FileStat

_TEXT = "text/plain; charset=utf-8"
_UNKNOWN = "application/octet-stream"
_IMAGES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_TEXT_ENDINGS = {
    "c", "cc", "cfg", "conf", "cpp", "csv", "diff", "err", "go", "h", "hpp", "ini", "ipynb", "java", "jl", "js",
    "json", "jsonl", "log", "lua", "md", "ndjson", "out", "patch", "pl", "properties", "py", "r", "rb", "rs", "rst",
    "scala", "sh", "sql", "stderr", "stdout", "tex", "toml", "ts", "tsv", "txt", "yaml", "yml",
}  # fmt: skip
_TEXT_NAMES = {"changelog", "dockerfile", "license", "log", "makefile", "readme", "stderr", "stdout"}
_PLAIN = frozenset(chr(code) for code in range(0x20, 0x7F)) - set('"\\%')
_END_OF_TIME = 253402300800  # the year 10000, which no header can hold

# `sandbox` takes the page's origin from whatever is shown all the same; the one style is the browser's own, for text.
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def file_headers(path: str, stat: FileStat, download: bool) -> dict[str, str]:
    """Of an answer with the file at the encoded `path`, or without it (HEAD, 304), but for its length."""
    name = path.rsplit("/", 1)[-1]
    kind = content_type(name)
    headers = {
        "Content-Type": kind,
        "Content-Disposition": disposition(safe_name(name), attachment=download or kind == _UNKNOWN),
        "ETag": f'"{stat.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache, no-transform",  # asked anew each time: artifacts expire
    }
    if 0 <= stat.modified_at < _END_OF_TIME:
        headers["Last-Modified"] = formatdate(stat.modified_at, usegmt=True)
    return headers


def archive_headers(job: str, path: str) -> dict[str, str]:
    """Of an answer with the ZIP of the job, or of its folder `path`."""
    name = f"{job}-{safe_name(path.rsplit('/', 1)[-1])}.zip" if path else f"{job}.zip"
    return {
        "Content-Type": "application/zip",
        "Content-Disposition": disposition(safe_name(name), attachment=True),
        "Accept-Ranges": "none",
        "Cache-Control": "private, no-store, no-transform",
    }


def content_type(name: str) -> str:
    """The type that a file may be shown as."""
    ending = name.lower().rpartition(".")[2]
    if ending in _IMAGES:
        return _IMAGES[ending]
    return _TEXT if ending in (_TEXT_ENDINGS if "." in name else _TEXT_NAMES) else _UNKNOWN


def disposition(name: str, attachment: bool) -> str:
    """The header by RFC 6266: a plain name for old clients, and the whole one. `name` is a safe one."""
    plain = "".join(letter if letter in _PLAIN else "_" for letter in name)
    kind = "attachment" if attachment else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

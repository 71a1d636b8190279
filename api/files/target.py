"""The URLs of downloads: parses requests and builds links.

/api/files/groups/<group>/jobArtifacts/<job>/<path>               a file; ?download=1 makes it an attachment
/api/files/groups/<group>/jobArtifacts/<job>/[<path>/]?archive=zip  all files of the job, or of a folder, as a ZIP

A client that does not escape a key's `%` requests the decoded key, which is the file's own name. If that name cannot be
a key (a control character, or a byte that is not UTF-8), its key is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from api.errors import BadInput, NotFoundError
from artifacts.errors import InvalidName
from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import check_path, encode_path, path_problem

ROOT = "/api/files/"
NOT_AN_ARCHIVE = "this is the URL of a folder: add ?archive=zip to download it as a ZIP"


@dataclass(frozen=True)
class DownloadTarget:
    """The target of a URL. `group` and `job` are unchecked. `path`: encoded, no trailing slash; "" for all files.

    `has_slash`: whether the URL ends with a slash although it does not request a ZIP.
    """

    group: str
    job: str
    path: str
    archive: bool = False
    download: bool = False
    has_slash: bool = False

    @property
    def display_path(self) -> str:
        """The path for people and logs; a folder's path ends with a slash."""
        return self.path + "/" if self.archive or self.has_slash else self.path

    @property
    def url(self) -> str:
        """The path of the URL, without the query."""
        return ROOT + quote(f"groups/{self.group}/{JOB_ARTIFACTS}/{self.job}/{self.display_path.lstrip('/')}")

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the URL's query."""
        return ({"archive": "zip"} if self.archive else {}) | ({"download": "1"} if self.download else {})


def parse_target(path_info: str, query: Mapping[str, str]) -> DownloadTarget:
    """Parse a request. `path_info` is WSGI's: percent-decoded once, with bytes as Latin-1.

    The decoding turns %2F into a slash, as some proxies do, so the path is checked afterwards.

    Raises:
        NotFoundError: no artifact can have this URL.
        BadInput: the URL is that of all files but has no `archive`, or `archive` is not zip.
    """
    first, group, third, job, path = _split(path_info)
    if first != "groups" or third != JOB_ARTIFACTS or not job:
        raise NotFoundError(f"the URL of a download is {ROOT}groups/<group>/{JOB_ARTIFACTS}/<job>/<path>")
    archive, name = _is_archive(query), path.removesuffix("/")
    if not archive and not path:
        raise BadInput(NOT_AN_ARCHIVE)
    key = _check_path(name) if path or not archive else ""
    return DownloadTarget(group, job, key, archive, query.get("download") == "1", not archive and name != path)


def _split(path_info: str) -> list[str]:
    path = path_info.encode("latin-1").decode(errors="surrogateescape").removeprefix(ROOT)
    parts = (path.split("/", 4) + [""] * 4)[:5]
    if any("\udc80" <= character <= "\udcff" for part in parts[:4] for character in part):
        raise NotFoundError("the URL is not valid UTF-8: encode each byte of a name as %XX, and a % as %25")
    return parts


def _is_archive(query: Mapping[str, str]) -> bool:
    value = query.get("archive", "zip")
    if value != "zip":
        raise BadInput(f"the only archive format is ZIP: use ?archive=zip, not ?archive={value[:20]}")
    return "archive" in query


def _check_path(path: str) -> str:
    """Return the key of a path. Raises NotFoundError."""
    try:
        return check_path(encode_path(path) if path_problem(path) else path)
    except InvalidName as error:
        raise NotFoundError(f"no artifact can have this path: {error.reason}") from error

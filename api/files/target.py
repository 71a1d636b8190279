"""The URLs of downloads: parses requests and builds links.

/api/files/groups/<group>/jobArtifacts/<job>/<path>               a file; ?download=1 makes it an attachment
/api/files/groups/<group>/jobArtifacts/<job>/[<path>/]?archive=zip  all files of the job, or of a folder, as a ZIP
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from api.errors import BadInput, NotFoundError
from artifacts.errors import InvalidName
from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import check_path

ROOT = "/api/files/"


@dataclass(frozen=True)
class DownloadTarget:
    """The target of a URL. `group` and `job` are unchecked. `path`: encoded, no trailing slash; "" for all files."""

    group: str
    job: str
    path: str
    archive: bool = False
    download: bool = False

    @property
    def display_path(self) -> str:
        """The path for people and logs; a folder's path ends with a slash."""
        return self.path + "/" if self.archive else self.path

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
        BadInput: the URL is that of a folder but has no `archive`, or `archive` is not zip.
    """
    first, group, third, job, path = _split(path_info)
    if first != "groups" or third != JOB_ARTIFACTS or not job:
        raise NotFoundError(f"the URL of a download is {ROOT}groups/<group>/{JOB_ARTIFACTS}/<job>/<path>")
    archive = _is_archive(query)
    if archive:
        path = path.removesuffix("/")
    elif not path or path.endswith("/"):
        raise BadInput("this is the URL of a folder: add ?archive=zip to download it as a ZIP")
    if path or not archive:
        _check_path(path)
    return DownloadTarget(group, job, path, archive, query.get("download") == "1")


def _split(path_info: str) -> list[str]:
    try:
        path = path_info.encode("latin-1").decode().removeprefix(ROOT)
    except UnicodeError as error:
        raise NotFoundError("the URL is not valid UTF-8: encode each byte of a name as %XX, and a % as %25") from error
    return (path.split("/", 4) + [""] * 4)[:5]


def _is_archive(query: Mapping[str, str]) -> bool:
    value = query.get("archive", "zip")
    if value != "zip":
        raise BadInput(f"the only archive format is ZIP: use ?archive=zip, not ?archive={value[:20]}")
    return "archive" in query


def _check_path(path: str) -> None:
    try:
        check_path(path)
    except InvalidName as error:
        raise NotFoundError(f"no artifact can have this path: {error.reason}") from error

"""What a download asks for, as its URL says it and as a link is made of it.

/api/files/groups/<group>/jobArtifacts/<job>/<path>               a file; ?download=1 makes it an attachment
/api/files/groups/<group>/jobArtifacts/<job>/[<path>/]?archive=zip  the job's files, or a folder's, as a ZIP
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
    """`group` and `job` as in the URL, not yet checked; `path`: encoded, without a slash at its end; "": all."""

    group: str
    job: str
    path: str
    archive: bool = False
    download: bool = False

    @property
    def shown(self) -> str:
        """The path for people and logs: a folder's ends with a slash."""
        return self.path + "/" if self.archive else self.path

    @property
    def url(self) -> str:
        """The URL's path, without its query."""
        return ROOT + quote(f"groups/{self.group}/{JOB_ARTIFACTS}/{self.job}/{self.shown.lstrip('/')}")

    @property
    def query(self) -> dict[str, str]:
        """What the query says of it."""
        return ({"archive": "zip"} if self.archive else {}) | ({"download": "1"} if self.download else {})


def parse_target(path_info: str, query: Mapping[str, str]) -> DownloadTarget:
    """The target of a request. `path_info` is WSGI's: decoded once, bytes as Latin-1. Raises NotFoundError, BadInput.

    An encoded slash has become a slash by now, as in proxies; what it makes of the path is checked like any other.
    """
    groups, group, artifacts, job, path = _parts(path_info)
    if groups != "groups" or artifacts != JOB_ARTIFACTS or not job:
        raise NotFoundError(f"downloads lie at {ROOT}groups/<group>/{JOB_ARTIFACTS}/<job>/<path>")
    archive = _is_archive(query)
    if archive:
        path = path.removesuffix("/")
    elif not path or path.endswith("/"):
        raise BadInput("this is a folder: add ?archive=zip to download all of it")
    _check(path, archive)
    return DownloadTarget(group, job, path, archive, query.get("download") == "1")


def _parts(path_info: str) -> list[str]:
    try:
        path = path_info.encode("latin-1").decode().removeprefix(ROOT)
    except UnicodeError as error:
        raise NotFoundError(
            "the URL is not UTF-8: encode each byte of a name's UTF-8 as %XX, and a % as %25"
        ) from error
    return (path.split("/", 4) + [""] * 4)[:5]


def _is_archive(query: Mapping[str, str]) -> bool:
    if query.get("archive", "zip") != "zip":
        raise BadInput("archives come as ZIP: use ?archive=zip")
    return "archive" in query


def _check(path: str, archive: bool) -> None:
    if archive and not path:
        return
    try:
        check_path(path)
    except InvalidName as error:
        raise NotFoundError(f"there can be no such artifact: {error.reason}") from error

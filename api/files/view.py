"""Serves `/api/files/`: downloads of single files, or of folders as ZIPs, for callers who may see the job."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import flask
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import PathConverter

from api.auth.caller import Caller
from api.auth.links import SIGNATURE_PARAMETER
from api.errors import ApiError, BadInput, ConflictError, Expired, NotFoundError, ServiceUnavailable, error_body
from api.files.archive import archive, has_files, list_sizes
from api.files.download import Download, DownloadInfo, DownloadLimiter
from api.files.headers import PROTECTION_HEADERS, archive_headers, file_headers
from api.files.preconditions import ResponsePlan, content_range, evaluate
from api.files.target import NOT_AN_ARCHIVE, ROOT, DownloadTarget, parse_target
from api.folder import JobFolder, folder_by_group
from api.services import Services
from api.store.store import FileChanged, FileMissing, FileStat
from artifacts.names import encode_path

_RETRY_SECONDS = 5
_REFUSALS = {
    412: ("PRECONDITION_FAILED", "the file does not match If-Match or If-Unmodified-Since: it has changed"),
    416: ("RANGE_NOT_SATISFIABLE", "the requested range starts after the file's end"),
}


def files_blueprint(services: Services, authenticate: Callable[[], Caller]) -> flask.Blueprint:
    """Create the blueprint. `authenticate` returns the caller of the current request; signed links do not need it."""
    blueprint = flask.Blueprint("files", __name__)
    view = _DownloadView(services, authenticate)
    blueprint.record_once(_add_converter)
    blueprint.add_url_rule(f"{ROOT}<any_path:rest>", "download", view.respond, methods=["GET"], merge_slashes=False)
    blueprint.after_request(_add_protection_headers)
    blueprint.teardown_request(_close_discarded_download)
    return blueprint


class _AnyPathConverter(PathConverter):
    regex = r"[^/][\s\S]*?"  # werkzeug's own does not match line breaks, which names of files can contain


def _add_converter(setup: BlueprintSetupState) -> None:
    setup.app.url_map.converters["any_path"] = _AnyPathConverter


class _DownloadView:
    def __init__(self, services: Services, authenticate: Callable[[], Caller]) -> None:
        self._services, self._authenticate = services, authenticate
        self._limiter = DownloadLimiter(services.settings.downloads, services.metrics)

    def respond(self, rest: str) -> flask.Response:
        query = flask.request.args
        target = parse_target(flask.request.environ["PATH_INFO"], query)
        is_signed = SIGNATURE_PARAMETER in query
        caller = self._services.link_signer.verify(target, query) if is_signed else self._authenticate()
        folder = folder_by_group(self._services.jobs, caller, target.group, target.job)
        if self._services.retention.get(folder).has_expired(self._services.clock()):
            raise Expired(f"the artifacts of job {folder.job} have expired")
        if not is_signed:  # a link has the key
            target = self._find_key(folder, target)
        try:
            if target.archive:
                return self._send_archive(folder, target, caller)
            if target.has_slash:
                raise self._not_a_file(folder, target)
            return self._send_file(folder, target, caller)
        except FileMissing as error:
            raise self._not_a_file(folder, target) from error
        except FileChanged as error:
            raise ConflictError("the file changed during the download: retry") from error

    def _find_key(self, folder: JobFolder, target: DownloadTarget) -> DownloadTarget:
        """Return the target, or that of the path's own key if there is nothing at the path.

        A client that does not escape a key's `%` requests `p%41.txt` for the key `p%2541.txt`. Both are valid keys.
        """
        key = encode_path(target.path)
        return target if key == target.path or self._exists(folder, target) else replace(target, path=key)

    def _exists(self, folder: JobFolder, target: DownloadTarget) -> bool:
        if target.archive or target.has_slash:
            return has_files(self._services.store, folder.prefix, target.path)
        return self._is_file(folder, target)

    def _is_file(self, folder: JobFolder, target: DownloadTarget) -> bool:
        try:
            self._services.store.stat(folder.prefix + target.path)
        except FileMissing:
            return False
        return True

    def _not_a_file(self, folder: JobFolder, target: DownloadTarget) -> ApiError:
        """Return the error for a URL of a folder, of a file with a slash at the end, or of nothing."""
        if not target.archive and has_files(self._services.store, folder.prefix, target.path):
            return BadInput(NOT_AN_ARCHIVE if target.has_slash else "this is a folder: add /?archive=zip to get a ZIP")
        if target.has_slash and self._is_file(folder, target):
            return NotFoundError("this is a file, not a folder: remove the slash at the end of the URL")
        return NotFoundError(f"job {folder.job} has no such artifact")

    def _send_file(self, folder: JobFolder, target: DownloadTarget, caller: Caller) -> flask.Response:
        key, headers = folder.prefix + target.path, dict(flask.request.headers)
        if flask.request.method == "HEAD":
            headers.pop("Range", None)  # only GET has ranges
            stat = self._services.store.stat(key)
            return _make_response(target, stat, evaluate(headers, stat))
        with contextlib.ExitStack() as resources:
            resources.enter_context(self._limiter.acquire("file"))
            file = self._services.store.open(key)
            resources.callback(file.close)
            plan = evaluate(headers, file.stat)
            if plan.status not in (200, 206):
                return _make_response(target, file.stat, plan)
            info = DownloadInfo("file", folder, target.display_path, caller, headers.get("Range", ""))
            body = self._start(info, file.chunks(*plan.byte_range), resources.pop_all())
            return _make_response(target, file.stat, plan, body)

    def _send_archive(self, folder: JobFolder, target: DownloadTarget, caller: Caller) -> flask.Response:
        store, headers = self._services.store, archive_headers(folder.job, target.path)
        with contextlib.ExitStack() as resources:
            resources.enter_context(self._limiter.acquire("zip"))
            sizes = list_sizes(store, folder.prefix, target.path)
            if flask.request.method == "HEAD":
                return flask.Response(iter(()), headers=headers)  # the length is unknown, as for GET
            chunks = archive(store, folder, target.path, sizes)
            resources.callback(chunks.close)
            body = self._start(DownloadInfo("zip", folder, target.display_path, caller), chunks, resources.pop_all())
            return flask.Response(body, headers=headers, direct_passthrough=True)

    def _start(self, info: DownloadInfo, chunks: Iterator[bytes], resources: contextlib.ExitStack) -> Download:
        body = Download(chunks, info, self._services.metrics, resources)
        body.start()
        flask.g.download = body
        return body


def _make_response(
    target: DownloadTarget, stat: FileStat, plan: ResponsePlan, body: Download | None = None
) -> flask.Response:
    """Make the response: with the file, without a body (HEAD, 304), or with the error of a precondition."""
    status, byte_range = plan
    headers = file_headers(target.path, stat, target.download)
    if status in _REFUSALS:
        response = flask.jsonify(error_body(status, *_REFUSALS[status]))
        response.status_code = status
        headers = {"ETag": headers["ETag"]}
    else:
        response = flask.Response(body, status, direct_passthrough=True)
    if status == 416:
        headers["Content-Range"] = f"bytes */{stat.size}"
    elif status == 206:
        headers["Content-Range"] = content_range(byte_range, stat.size)
    if status in (200, 206):
        headers["Content-Length"] = str(byte_range.length)
    response.headers.update(headers)
    return response


def _close_discarded_download(error: BaseException | None) -> None:
    """Close a download whose response was discarded because of another error: the server cannot close it."""
    if error is not None and "download" in flask.g:
        flask.g.download.close()


def _add_protection_headers(response: flask.Response) -> flask.Response:
    """Make every response safe to open in a browser, including errors. An existing policy is kept."""
    for name, text in PROTECTION_HEADERS.items():
        response.headers.setdefault(name, text)
    if response.status_code == ServiceUnavailable.status:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response

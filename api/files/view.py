"""`/api/files/`: a job's files as downloads, one by one or as a ZIP, for whoever may see the job."""

import contextlib
from collections.abc import Callable, Iterator

import flask

from api.auth.caller import Caller
from api.auth.links import SIGNATURE_PARAMETER
from api.errors import ConflictError, Expired, NotFoundError, ServiceUnavailable, error_body
from api.files.archive import archive, count_files
from api.files.download import Download, DownloadInfo, DownloadLimiter
from api.files.headers import PROTECTION, archive_headers, file_headers
from api.files.preconditions import ResponsePlan, content_range, evaluate
from api.files.target import ROOT, DownloadTarget, parse_target
from api.folder import JobFolder, folder_by_group
from api.services import Services
from api.store.store import FileChanged, FileMissing, FileStat

_RETRY_SECONDS = 5
_REFUSALS = {
    412: ("PRECONDITION_FAILED", "the file is not the one that If-Match or If-Unmodified-Since asks for"),
    416: ("RANGE_NOT_SATISFIABLE", "the range lies behind the file's end"),
}


def files_blueprint(services: Services, authenticate: Callable[[], Caller]) -> flask.Blueprint:
    """GET and HEAD of downloads. `authenticate` tells who sends the current request; it is not asked about links."""
    blueprint = flask.Blueprint("files", __name__)
    files = _Files(services, authenticate)
    blueprint.add_url_rule(f"{ROOT}<path:rest>", "download", files.answer, methods=["GET"], merge_slashes=False)
    blueprint.after_request(_protect)
    blueprint.teardown_request(_forsake)
    return blueprint


class _Files:
    def __init__(self, services: Services, authenticate: Callable[[], Caller]) -> None:
        self._services, self._authenticate = services, authenticate
        self._slots = DownloadLimiter(services.settings.downloads, services.metrics)

    def answer(self, rest: str) -> flask.Response:
        query = flask.request.args
        target = parse_target(flask.request.environ["PATH_INFO"], query)
        caller = (
            self._services.link_signer.verify(target, query) if SIGNATURE_PARAMETER in query else self._authenticate()
        )
        folder = folder_by_group(self._services.jobs, caller, target.group, target.job)
        if self._services.retention.get(folder).has_expired(self._services.clock()):
            raise Expired(f"the artifacts of job {folder.job} have expired")
        try:
            return self._archive(folder, target, caller) if target.archive else self._file(folder, target, caller)
        except FileMissing as error:
            raise NotFoundError(f"there is no such file among the artifacts of job {folder.job}") from error
        except FileChanged as error:
            raise ConflictError("the file is being changed; try again") from error

    def _file(self, folder: JobFolder, target: DownloadTarget, caller: Caller) -> flask.Response:
        key, headers = folder.prefix + target.path, dict(flask.request.headers)
        if flask.request.method == "HEAD":
            headers.pop("Range", None)  # a range is a GET's
            stat = self._services.store.stat(key)
            return _answer(target, stat, evaluate(headers, stat))
        with contextlib.ExitStack() as held:
            held.enter_context(self._slots.taken("file"))
            file = self._services.store.open(key)
            held.callback(file.close)
            verdict = evaluate(headers, file.stat)
            if verdict.status not in (200, 206):
                return _answer(target, file.stat, verdict)
            request = DownloadInfo("file", folder, target.shown, caller, headers.get("Range", ""))
            body = self._start(request, file.chunks(*verdict.span), held.pop_all())
            return _answer(target, file.stat, verdict, body)

    def _archive(self, folder: JobFolder, target: DownloadTarget, caller: Caller) -> flask.Response:
        store, headers = self._services.store, archive_headers(folder.job, target.path)
        with contextlib.ExitStack() as held:
            held.enter_context(self._slots.taken("zip"))
            count = count_files(store, folder.prefix, target.path)
            if flask.request.method == "HEAD":
                return flask.Response(iter(()), headers=headers)  # of no known length, as with GET
            chunks = archive(store, folder, target.path, count)
            held.callback(chunks.close)
            body = self._start(DownloadInfo("zip", folder, target.shown, caller), chunks, held.pop_all())
            return flask.Response(body, headers=headers, direct_passthrough=True)

    def _start(self, request: DownloadInfo, chunks: Iterator[bytes], held: contextlib.ExitStack) -> Download:
        body = Download(chunks, request, self._services.metrics, held)
        body.start()
        flask.g.download = body
        return body


def _answer(
    target: DownloadTarget, stat: FileStat, verdict: ResponsePlan, body: Download | None = None
) -> flask.Response:
    """The answer with the file, or with none of it (HEAD, 304), or the refusal of its conditions."""
    status, span = verdict
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
        headers["Content-Range"] = content_range(span, stat.size)
    if status in (200, 206):
        headers["Content-Length"] = str(span.length)
    response.headers.update(headers)
    return response


def _forsake(error: BaseException | None) -> None:
    """End a download whose answer another error has thrown away: the server never sees it, so it closes nothing."""
    if error is not None and "download" in flask.g:
        flask.g.download.close()


def _protect(response: flask.Response) -> flask.Response:
    """Every answer here, refusals too, is safe to open in a browser; a page of our own has its own policy."""
    for name, text in PROTECTION.items():
        response.headers.setdefault(name, text)
    if response.status_code == ServiceUnavailable.status:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response

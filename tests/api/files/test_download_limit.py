"""The limit of concurrent downloads: excess downloads are refused, and each slot is released. Also the download log."""

import logging
import threading

import flask
import pytest

from tests.api.files.conftest import Serve
from tests.api.files.download_server import FOLDER, ROOT, DownloadServer, make_app
from tests.api.files.faulty_store import FaultyPosixStore, fail
from tests.lines import lines_of
from tests.sidecar.sidecars import until

BIG = 64 * 1024 * 1024  # larger than the buffers between server and client
ONE_DOWNLOAD = {"PHJOB_API_DOWNLOADS": "1", "PHJOB_API_THREADS": "4"}


def write_big_file(served: DownloadServer, path: str = "big.bin") -> None:
    with served.write(path).open("r+b") as file:
        file.truncate(BIG)


@pytest.mark.parametrize("target", ["big.bin", "?archive=zip"])
def test_a_download_over_the_limit_is_refused_with_retry_after(serve: Serve, target: str) -> None:
    served = serve(**ONE_DOWNLOAD)
    write_big_file(served)
    kind = "zip" if "zip" in target else "file"
    with served.open("big.bin"):
        assert served.metric("downloads_active") == 1
        answer = served.get(target)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert answer.error["code"] == "UNAVAILABLE"
        assert served.downloads_ended(kind, "refused") == 1
        assert served.get("a.txt", method="HEAD").status == 200
        assert served.get("a.txt", "bob").status == 404
    until(served.is_idle, "the slot is released after the client disconnected")
    assert served.get("a.txt").status == 200
    assert served.downloads_ended("file", "aborted") == 1


def test_responses_without_a_file_release_their_slot(serve: Serve) -> None:
    served = serve(**ONE_DOWNLOAD)
    tag = served.get("a.txt").headers["ETag"]
    for headers in ({"If-None-Match": tag}, {"If-Match": '"x"'}, {"Range": "bytes=99-"}, {"Range": "bytes=0-0"}):
        until(served.is_idle, "the slot of the previous download is released")
        assert served.get("a.txt", headers=headers).status != 503
    for path in ("nothing", "d?archive=zip", "?archive=zip", ".primehub/metadata/expiredAt", ""):
        for method in ("HEAD", "GET"):
            until(served.is_idle, "the slot of the previous download is released")
            assert served.get(path, method=method).status != 503
    until(served.is_idle, "no slot is held")


def test_a_download_that_fails_before_it_starts_releases_its_slot(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty, **ONE_DOWNLOAD)
    faulty.faults[FOLDER + "a.txt"] = (0, fail)
    for path in ("a.txt", "?archive=zip"):
        answer = served.get(path)
        assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
        assert served.is_idle()
    assert faulty.open_count == 0


def test_a_discarded_response_releases_its_slot(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty, **ONE_DOWNLOAD)
    write_big_file(served)
    app = make_app(served.env, served.port)

    @app.after_request
    def raise_error(_: flask.Response) -> flask.Response:
        raise RuntimeError("an error in another hook")

    app.logger.disabled = True  # pytest would hold the error, and with it the response
    for path in ("big.bin", "?archive=zip"):
        client = app.test_client()
        headers = {"Host": f"127.0.0.1:{served.port}", "Authorization": "Bearer alice"}
        assert client.get(ROOT + path, headers=headers).status_code == 500
        assert served.is_idle()
        assert faulty.open_count == 0


def test_concurrent_downloads_respect_the_limit(serve: Serve) -> None:
    served = serve(PHJOB_API_DOWNLOADS="3", PHJOB_API_THREADS="4")
    statuses: list[int] = []

    def download() -> None:
        for path in ("a.txt", "?archive=zip", "a.txt"):
            statuses.append(served.get(path).status)

    clients = [threading.Thread(target=download) for _ in range(12)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert set(statuses) <= {200, 503}
    assert len(statuses) == 36
    until(served.is_idle, "every slot is released")
    total = sum(
        served.downloads_ended(kind, end) for kind in ("file", "zip") for end in ("complete", "aborted", "refused")
    )
    assert total == 36


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "api.files.download")
    return caplog


def lines(audit: pytest.LogCaptureFixture, count: int) -> list[str]:
    """Wait for `count` lines: the client receives the last byte before the server logs the download."""

    def logged() -> list[str]:
        return lines_of(audit.records, "api.files.download")

    until(lambda: len(logged()) >= count, f"{count} lines")
    return logged()


def test_each_download_logs_one_line_at_its_end(served: DownloadServer, audit: pytest.LogCaptureFixture) -> None:
    served.get("a.txt")
    lines(audit, 1)  # the server may log a download after the next one has started
    served.get("a.txt", headers={"Range": "bytes=0-3"})
    lines(audit, 2)
    served.get("a.txt", method="HEAD")
    served.get("a.txt", "bob")
    size = len(served.get("?archive=zip").body)
    lines(audit, 3)
    served.get(served.link("a.txt"), "nobody")
    prefix = "download ended group=team-a job=job-1"
    assert lines(audit, 4) == [
        f'{prefix} path=a.txt user=alice range="" bytes=10 result=complete',
        f'{prefix} path=a.txt user=alice range="bytes=0-3" bytes=4 result=complete',
        f'{prefix} path=/ user=alice range="" bytes={size} result=complete',
        f'{prefix} path=a.txt user=alice range="" bytes=10 result=complete',
    ]
    assert served.metric("download_bytes_total") == 24 + size


def test_no_name_can_forge_a_log_line_or_key(served: DownloadServer, audit: pytest.LogCaptureFixture) -> None:
    served.write("a result=complete user=root.txt")
    served.write("a\u2028b\u202e")
    served.get("a%20result=complete%20user=root.txt", "eve", headers={"Range": 'bytes=0-0" x=y'})
    lines(audit, 1)  # the server may log a download after the next one has started
    served.get("a%E2%80%A8b%E2%80%AE", "eve")
    quoted = r'user="eve\"\n result=complete"'
    first, second = lines(audit, 2)
    assert f'path="a result=complete user=root.txt" {quoted} range="bytes=0-0\\" x=y" bytes=7' in first
    assert f'path="a\\u2028b\\u202e" {quoted} range="" bytes=7' in second

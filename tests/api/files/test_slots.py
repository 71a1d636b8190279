"""Slots of downloads: one too many is told to come again, and each is given back, however its download ends."""

import logging
import threading

import flask
import pytest

from tests.api.files.conftest import Serve
from tests.api.files.download_server import FOLDER, ROOT, DownloadServer, make_app
from tests.api.files.faulty_store import FaultyPosixStore, fails
from tests.lines import lines_of
from tests.sidecar.sidecars import until

BIG = 64 * 1024 * 1024  # more than the buffers between server and client take
ONE = {"PHJOB_API_DOWNLOADS": "1", "PHJOB_API_THREADS": "4"}


def big(served: DownloadServer, path: str = "big.bin") -> None:
    with served.write(path).open("r+b") as file:
        file.truncate(BIG)


@pytest.mark.parametrize("asked", ["big.bin", "?archive=zip"])
def test_one_too_many_is_told_to_come_again_and_the_others_are_served(serve: Serve, asked: str) -> None:
    served = serve(**ONE)
    big(served)
    kind = "zip" if "zip" in asked else "file"
    with served.opened("big.bin"):
        assert served.counted("downloads_active") == 1
        answer = served.get(asked)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert answer.error["code"] == "UNAVAILABLE"
        assert served.ended(kind, "refused") == 1
        assert served.get("a.txt", method="HEAD").status == 200
        assert served.get("a.txt", "bob").status == 404
    until(served.is_idle, "the slot given back by a client that went away")
    assert served.get("a.txt").status == 200
    assert served.ended("file", "aborted") == 1


def test_what_sends_no_file_holds_no_slot(serve: Serve) -> None:
    served = serve(**ONE)
    tag = served.get("a.txt").headers["ETag"]
    for headers in ({"If-None-Match": tag}, {"If-Match": '"x"'}, {"Range": "bytes=99-"}, {"Range": "bytes=0-0"}):
        until(served.is_idle, "the slot of the download before")
        assert served.get("a.txt", headers=headers).status != 503
    for path in ("nothing", "d?archive=zip", "?archive=zip", ".primehub/metadata/expiredAt", ""):
        for method in ("HEAD", "GET"):
            until(served.is_idle, "the slot of the download before")
            assert served.get(path, method=method).status != 503
    until(served.is_idle, "no slot held")


def test_a_download_that_fails_before_it_starts_gives_its_slot_back(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty, **ONE)
    faulty.faults[FOLDER + "a.txt"] = (0, fails)
    for path in ("a.txt", "?archive=zip"):
        answer = served.get(path)
        assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
        assert served.is_idle()
    assert faulty.open_now == 0


def test_an_answer_that_is_thrown_away_gives_its_slot_back(serve: Serve, faulty: FaultyPosixStore) -> None:
    served = serve(faulty, **ONE)
    big(served)
    app = make_app(served.env, served.port)

    @app.after_request
    def breaks(_: flask.Response) -> flask.Response:
        raise RuntimeError("another hook is broken")

    app.logger.disabled = True  # pytest would keep the error, and the answer with it
    for path in ("big.bin", "?archive=zip"):
        client = app.test_client()
        headers = {"Host": f"127.0.0.1:{served.port}", "Authorization": "Bearer alice"}
        assert client.get(ROOT + path, headers=headers).status_code == 500
        assert served.is_idle()
        assert faulty.open_now == 0


def test_slots_hold_under_a_crowd(serve: Serve) -> None:
    served = serve(PHJOB_API_DOWNLOADS="3", PHJOB_API_THREADS="4")
    statuses: list[int] = []

    def ask() -> None:
        for path in ("a.txt", "?archive=zip", "a.txt"):
            statuses.append(served.get(path).status)

    crowd = [threading.Thread(target=ask) for _ in range(12)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert set(statuses) <= {200, 503}
    assert len(statuses) == 36
    until(served.is_idle, "every slot given back")
    total = sum(served.ended(kind, end) for kind in ("file", "zip") for end in ("complete", "aborted", "refused"))
    assert total == 36


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "api.files.download")
    return caplog


def lines(audit: pytest.LogCaptureFixture, count: int) -> list[str]:
    """So many lines: a client has the last byte before the server has noted that it has."""

    def told() -> list[str]:
        return lines_of(audit.records, "api.files.download")

    until(lambda: len(told()) >= count, f"{count} lines")
    return told()


def test_each_download_is_one_line_of_the_log_at_its_end(
    served: DownloadServer, audit: pytest.LogCaptureFixture
) -> None:
    served.get("a.txt")
    served.get("a.txt", headers={"Range": "bytes=0-3"})
    served.get("a.txt", method="HEAD")
    served.get("a.txt", "bob")
    size = len(served.get("?archive=zip").body)
    served.get(served.link("a.txt"), "nobody")
    where = "download group=team-a job=job-1"
    assert lines(audit, 4) == [
        f'{where} path=a.txt user=alice range="" bytes=10 result=complete',
        f'{where} path=a.txt user=alice range="bytes=0-3" bytes=4 result=complete',
        f'{where} path=/ user=alice range="" bytes={size} result=complete',
        f'{where} path=a.txt user=alice range="" bytes=10 result=complete',
    ]
    assert served.counted("download_bytes_total") == 24 + size


def test_no_name_forges_a_line_or_a_key(served: DownloadServer, audit: pytest.LogCaptureFixture) -> None:
    served.write("a result=complete user=root.txt")
    served.write("a\u2028b\u202e")
    served.get("a%20result=complete%20user=root.txt", "eve", headers={"Range": 'bytes=0-0" x=y'})
    served.get("a%E2%80%A8b%E2%80%AE", "eve")
    quoted = r'user="eve\"\n result=complete"'
    first, second = lines(audit, 2)
    assert f'path="a result=complete user=root.txt" {quoted} range="bytes=0-0\\" x=y" bytes=7' in first
    assert f'path="a\\u2028b\\u202e" {quoted} range="" bytes=7' in second

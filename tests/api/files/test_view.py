"""Downloads over HTTP: ranges, preconditions, names, permissions, and files that are never served."""

import os
from urllib.parse import quote

import pytest

from artifacts.names import encode_path
from tests.api.files.download_server import FOLDER, ROOT, DownloadServer
from tests.sidecar.sidecars import until

GIB = 1024**3


def test_a_file_has_the_headers_for_resuming_and_protection(served: DownloadServer) -> None:
    answer = served.get("a.txt")
    assert (answer.status, answer.body) == (200, b"0123456789")
    headers = answer.headers
    assert headers["Content-Length"] == "10"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"].startswith('"')
    assert headers["Last-Modified"].endswith("GMT")
    assert headers["Content-Disposition"] == "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"
    assert headers["Cache-Control"] == "private, no-cache, no-transform"
    assert headers.get_all("Content-Security-Policy") == [
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_head_has_the_headers_of_get_and_no_body(served: DownloadServer) -> None:
    get, head = served.get("a.txt"), served.get("a.txt", method="HEAD", headers={"Range": "bytes=1-2"})
    assert (head.status, head.body) == (200, b"")
    head_headers, get_headers = (
        [(name, value) for name, value in response.headers.items() if name != "Date"] for response in (head, get)
    )
    assert head_headers == get_headers


@pytest.mark.parametrize(
    ("range_header", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-999", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("nonsense", 200, b"0123456789", None),
    ],
)
@pytest.mark.parametrize("if_range", [None, "own", '"other"', "Sun, 09 Sep 2001 01:46:40 GMT"])
def test_a_range_is_sent_if_the_file_has_not_changed(
    served: DownloadServer,
    range_header: str,
    status: int,
    body: bytes | None,
    content_range: str | None,
    if_range: str | None,
) -> None:
    headers = {"Range": range_header}
    if if_range:
        headers["If-Range"] = if_range if if_range != "own" else served.get("a.txt").headers["ETag"]
    if if_range not in (None, "own"):
        status, body, content_range = 200, b"0123456789", None
    answer = served.get("a.txt", headers=headers)
    assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
    if body is None:
        assert answer.error["code"] == "RANGE_NOT_SATISFIABLE"
    else:
        assert (answer.body, answer.headers["Content-Length"]) == (body, str(len(body)))


def test_an_unchanged_file_is_not_sent_again(served: DownloadServer) -> None:
    tag = served.get("a.txt").headers["ETag"]
    answer = served.get("a.txt", headers={"If-None-Match": tag})
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert served.get("a.txt", headers={"If-Match": '"other"'}).error["code"] == "PRECONDITION_FAILED"
    served.write("a.txt", b"9876543210")
    assert served.get("a.txt", headers={"If-None-Match": tag}).body == b"9876543210"
    assert served.get("a.txt", headers={"If-Range": tag, "Range": "bytes=5-"}).body == b"9876543210"


def test_an_empty_file_is_sent(served: DownloadServer) -> None:
    served.write("empty.txt", b"")
    assert served.get("empty.txt").headers["Content-Length"] == "0"
    assert served.get("empty.txt", headers={"Range": "bytes=-5"}).status == 200
    assert served.get("empty.txt", headers={"Range": "bytes=0-"}).status == 416
    until(lambda: served.downloads_ended("file", "complete") == 2, "two downloads are counted")


def test_ranges_of_a_3_gib_file_are_sent(served: DownloadServer) -> None:
    path = served.write("big.bin", b"first")
    with path.open("r+b") as file:
        file.seek(3 * GIB - 4)
        file.write(b"last")
    assert served.get("big.bin", method="HEAD").headers["Content-Length"] == str(3 * GIB)
    assert served.get("big.bin", headers={"Range": "bytes=0-4"}).body == b"first"
    answer = served.get("big.bin", headers={"Range": "bytes=-4"})
    assert (answer.body, answer.headers["Content-Range"]) == (
        b"last",
        f"bytes {3 * GIB - 4}-{3 * GIB - 1}/{3 * GIB}",
    )


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        (b"na\xc3\xafve \xe6\x96\x87 +&?#;=.txt", "naïve 文 +&_#;=.txt"),
        (b"100%.txt", "100%.txt"),
        (b"a%41.txt", "a%41.txt"),
        (b"a\xff.txt", "a%FF.txt"),
        (b"a\r\nSet-Cookie: b=c.txt", "a__Set-Cookie_ b=c.txt"),
        (b'"; filename="b.exe', "_; filename=_b.exe"),
        (b"photo\xe2\x80\xaegpj.exe", "photo_gpj.exe"),
        (b"..%2F..%2Fetc.txt", "..%2F..%2Fetc.txt"),
        (b"...", "___"),
    ],
)
def test_files_with_any_name_can_be_downloaded(served: DownloadServer, name: bytes, saved: str) -> None:
    key = encode_path(os.fsdecode(name))
    served.write(key, name)
    answer = served.get(quote(key))
    assert (answer.status, answer.body) == (200, name)
    assert answer.headers["Content-Disposition"].endswith(f"filename*=UTF-8''{quote(saved, safe='')}")
    assert answer.headers["Set-Cookie"] is None


@pytest.mark.parametrize("name", [b"a%41.txt", b"%2541.txt", b"a\nb.txt", b"end\n", b".primehub/x", b"d%41/\x01.txt"])
def test_clients_that_do_not_escape_keys_get_the_file(served: DownloadServer, name: bytes) -> None:
    key = encode_path(os.fsdecode(name))
    served.write(key, name)
    for url in (quote(key), key):
        answer = served.get(url)
        assert (answer.status, answer.body) == (200, name)
        assert served.get(url, method="HEAD").status == 200
    folder = encode_path(os.fsdecode(name.rpartition(b"/")[0]))
    for url in {quote(folder), folder} - {""}:
        assert served.get(f"{url}/?archive=zip").body.startswith(b"PK")
    link = served.link(key)
    assert served.get(link, "nobody").body == name


def test_path_of_a_file_precedes_the_decoded_key_of_another(served: DownloadServer) -> None:
    served.write("a%2541.txt", b"collected as a%41.txt")
    served.write("a%41.txt", b"written to the store by somebody else")
    assert served.get("a%2541.txt").body == b"written to the store by somebody else"
    assert served.get("a%252541.txt").body == b"collected as a%41.txt"


def test_link_serves_no_other_file(served: DownloadServer) -> None:
    served.write("a%2541.txt")
    link = served.link("a%41.txt")
    assert served.get(link, "nobody").error["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("a.txt/", 404, "this is a file, not a folder: remove the slash at the end of the URL"),
        ("d", 400, "this is a folder: add /?archive=zip to get a ZIP"),
        ("d/", 400, "this is the URL of a folder: add ?archive=zip to download it as a ZIP"),
        ("e", 400, "this is a folder: add /?archive=zip to get a ZIP"),
        ("nothing/", 404, "job job-1 has no such artifact"),
        ("a%0Ab", 404, "job job-1 has no such artifact"),
        ("a%ffb", 404, "job job-1 has no such artifact"),
    ],
)
def test_error_says_whether_the_path_is_a_file_or_a_folder(
    served: DownloadServer, path: str, status: int, message: str
) -> None:
    served.write("d/b.txt")
    served.write("e/f/g.txt")
    error = served.get(path).error
    assert (error["status"], error["message"]) == (status, message)


def test_active_content_is_never_displayed(served: DownloadServer) -> None:
    for name in ("a.html", "a.svg", "a.xml", "a.pdf", "a"):
        served.write(name, b"<script>alert(1)</script>")
        answer = served.get(name)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert served.get("a.txt?download=1").headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    "path",
    [
        "../job-2/secret.txt", "%2e%2e/job-2/secret.txt", "..%2Fjob-2%2Fsecret.txt", "d/../../job-2/secret.txt",
        "./a.txt", "/a.txt", "//a.txt", "%2Fa.txt", "d//a.txt", "a.txt/", "a.txt/.", "a.txt%00", "a.txt%00.png",
        "%0Aa.txt", "a\\..\\b", "..\\job-2\\secret.txt", "%5C..%5Ca", "%ff", "%c0%ae%c0%ae/job-2/secret.txt",
        "%252e%252e/job-2/secret.txt", "%", ".primehub/metadata/expiredAt", ".primehub/metadata/manifest.jsonl",
        ".metadata/expiredAt", "%2Eprimehub/tmp/1", ".primehub", ".metadata?archive=zip",
        ".primehub/metadata?archive=zip", "d?archive=zip", "nothing.txt", "link.txt", "out/secret.txt",
        "out?archive=zip", "d", "fifo", "x" * 256, "x/" * 600 + "x", "..?archive=zip", "//?archive=zip",
    ],
)  # fmt: skip
def test_paths_outside_the_jobs_files_are_refused(served: DownloadServer, path: str) -> None:
    served.env.store.write("groups/team-a/jobArtifacts/job-2/secret.txt", b"secret")
    (served.root / FOLDER / "d").mkdir()
    (served.root / FOLDER / "link.txt").symlink_to("a.txt")
    (served.root / FOLDER / "out").symlink_to("../job-2")
    os.mkfifo(served.root / FOLDER / "fifo")
    answer = served.get(ROOT + path)
    assert answer.status in (400, 404)
    assert answer.error["code"] in ("NOT_FOUND", "BAD_USER_INPUT")
    assert served.is_idle()


@pytest.mark.parametrize(
    ("path", "status"),
    [("", 400), ("?download=1", 400), ("?archive=tar", 400), ("a.txt?archive=", 400), ("a.txt?archive=zip", 404)],
)
def test_unsupported_forms_are_refused(served: DownloadServer, path: str, status: int) -> None:
    assert served.get(path).error["status"] == status


@pytest.mark.parametrize(
    "path",
    [
        "groups/team-a/jobArtifacts/job-1", "groups/team-a/jobArtifacts", "groups/team-a/other/job-1/a.txt", "groups",
        "x", "/groups/team-a/jobArtifacts/job-1/a.txt", "groups//jobArtifacts/job-1/a.txt",
        "groups/team-a/jobArtifacts//a.txt",
        "groups/team-a/jobArtifacts/../a.txt", "groups/../jobArtifacts/job-1/a.txt",
        "groups/team-a/jobArtifacts/JOB-1/a.txt", "groups/%00/jobArtifacts/job-1/a",
        "groups/team-a%2FjobArtifacts%2Fjob-1/../x", "phjob-artifacts/x", "groups/team-a/jobArtifacts/job-1%0A/a.txt",
    ],
)  # fmt: skip
def test_only_job_folders_are_served(served: DownloadServer, path: str) -> None:
    assert served.get(f"/api/files/{path}").error["status"] in (400, 404)


def test_foreign_and_missing_jobs_get_the_same_error(served: DownloadServer) -> None:
    absent = "/api/files/groups/team-a/jobArtifacts/job-9/a.txt"
    for user in ("bob", "alice"):
        for method in ("GET", "HEAD"):
            assert served.get(absent, user, method).status == 404
    assert served.get("a.txt", "nobody").status == 401
    assert served.get("a.txt", "root").status == 200
    foreign, gone = served.get("a.txt", "bob"), served.get(absent, "bob")
    assert foreign.error["message"] == 'phjobs.primehub.io "job-1" not found'
    assert foreign.body.replace(b"job-1", b"job-9") == gone.body
    assert served.get("?archive=zip", "bob").body == foreign.body


def test_the_phjobs_group_decides_who_may_download(served: DownloadServer) -> None:
    served.env.add_phjob("job-1", "b")
    assert served.get("a.txt").status == 404
    served.env.add_phjob("job-1", "team_A")
    assert served.get("a.txt").status == 200
    assert served.get("/api/files/groups/Team_A/jobArtifacts/job-1/a.txt").status == 200


def test_expired_artifacts_are_not_served_even_with_a_link(served: DownloadServer) -> None:
    link = served.link("a.txt")
    assert served.get(link, "nobody").status == 200
    served.env.clock_offset = 7200.0
    for path in ("a.txt", "?archive=zip", "nothing"):
        assert served.get(path).error["code"] == "EXPIRED"
    fresh = served.link("a.txt")
    assert served.get(fresh, "nobody").error["code"] == "EXPIRED"


def test_only_get_and_head_are_allowed(served: DownloadServer) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert served.get("a.txt", method=method).status == 405


def test_extreme_modification_times_are_served(served: DownloadServer) -> None:
    path = served.write("a.txt", b"x")
    for moment in (-1e9, 1e10, 3e11):
        os.utime(path, (moment, moment))
        assert served.get("a.txt").body == b"x"
        assert served.get("?archive=zip").status == 200


def test_a_link_works_without_a_token(served: DownloadServer) -> None:
    served.write("d/naïve #1 100%.txt", b"x")
    link = served.link("d/naïve #1 100%.txt", download=True)
    answer = served.get(link, "nobody")
    assert (answer.status, answer.body) == (200, b"x")
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert served.get(link, "nobody", "HEAD").status == 200
    assert served.get(link, "nobody", headers={"Range": "bytes=0-0"}).status == 206
    for wrong in ("d/", "a.txt"):
        _, _, query = link.partition("?")
        assert served.get(f"{ROOT}{wrong}?{query}", "nobody").status in (400, 401)
        assert served.get(f"{ROOT}{wrong}?{query}", "alice").status in (400, 401)
    archive = served.link("d", archive=True)
    assert served.get(archive, "nobody").headers["Content-Type"] == "application/zip"


def test_a_link_stops_working_if_the_job_moves_to_another_group(served: DownloadServer) -> None:
    link = served.link("a.txt")
    served.env.add_phjob("job-1", "b")
    assert served.get(link, "nobody").status == 404

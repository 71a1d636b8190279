"""A directory and a bucket, compared with a dictionary after any sequence of operations."""

import itertools
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.store.factory import open_store
from api.store.store import FileMissing, RemovedFiles, Store
from tests.api.store.servers import BUCKET, S3Server

GROUP = "groups/g/jobArtifacts/"
_numbers = itertools.count()

_component = st.sampled_from(["a", "b", "a-", "a.b", "\u00fc", "%0A", "\U0001f680", ".primehub", "\uffee"])
_path = st.lists(_component, min_size=1, max_size=3).map("/".join)
_job = st.sampled_from(["job", "job-1", "job-10"])
_key = st.builds("{}{}/{}".format, st.just(GROUP), _job, _path)
_after = st.one_of(st.just(""), _path, _path.map("{}/".format), st.text(max_size=4))
_folder = st.one_of(st.just(GROUP), st.builds("{}{}/".format, st.just(GROUP), _job), st.builds("{}/".format, _key))
_last = st.lists(_path, max_size=2, unique=True)

_step = st.one_of(
    st.tuples(st.just("write"), _key, st.binary(max_size=3)),
    st.tuples(st.just("write"), _key, st.binary(max_size=3)),
    st.tuples(st.just("delete"), _key),
    st.tuples(st.just("remove"), _job, _last),
    st.tuples(st.just("list"), _folder, _after, st.booleans()),
    st.tuples(st.just("read"), _key),
)


class Model:
    """A model of a store: a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def fits(self, key: str) -> bool:
        """Return whether a directory can contain the file: no parent is a file, and it is not a folder."""
        return not any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in self.files)

    def names(self, prefix: str, after: str, recursive: bool) -> list[str]:
        below = [key.removeprefix(prefix) for key in self.files if key.startswith(prefix)]
        if not recursive:
            below = [name[: name.index("/") + 1] if "/" in name else name for name in below]
        return sorted({name for name in below if name > after}, key=str.encode)

    def remove(self, prefix: str, last: list[str]) -> RemovedFiles:
        removed = [key for key in self.files if key.startswith(prefix)]
        sizes = [len(self.files[key]) for key in removed if key.removeprefix(prefix) not in last]
        for key in removed:
            del self.files[key]
        return RemovedFiles(len(sizes), sum(sizes))


def check_step(store: Store, model: Model, step: tuple[object, ...]) -> None:
    """Apply one step to the store and compare the result with the model's state before the step."""
    match step:
        case "write", str(key), bytes(content) if model.fits(key):
            store.write(key, content)
        case "delete", str(key):
            store.delete(key)
        case "remove", str(job), list(last):
            copy = Model()
            copy.files = dict(model.files)
            assert store.remove(f"{GROUP}{job}/", last) == copy.remove(f"{GROUP}{job}/", last)
        case "list", str(prefix), str(after), bool(recursive):
            listed = [item.name for item in store.list(prefix, after=after, recursive=recursive)]
            # A directory may contain empty folders.
            full = [name for name in listed if not name.endswith("/") or next(store.list(prefix + name), None)]
            assert full == model.names(prefix, after, recursive)
        case "read", str(key):
            check_read(store, key, model.files.get(key))


def check_read(store: Store, key: str, content: bytes | None) -> None:
    if content is None:
        with pytest.raises(FileMissing):
            store.stat(key)
        with pytest.raises(FileMissing):
            store.read(key, 10)
        return
    assert store.stat(key).size == len(content)
    assert store.read(key, 10) == content
    with closing(store.open(key)) as file:
        assert b"".join(file.chunks(1, len(content) - 1)) == content[1:]


def apply(model: Model, step: tuple[object, ...]) -> None:
    match step:
        case "write", str(key), bytes(content) if model.fits(key):
            model.files[key] = content
        case "delete", str(key):
            model.files.pop(key, None)
        case "remove", str(job), list(last):
            model.remove(f"{GROUP}{job}/", last)


@given(st.lists(_step, max_size=12))
@example([("write", f"{GROUP}job/a/b", b"1"), ("write", f"{GROUP}job/c", b"2"), ("remove", "job", ["a", "a/b"])])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_directory_and_a_bucket_behave_like_a_dictionary(
    tmp_path: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[object, ...]]
) -> None:
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    number = next(_numbers)
    (tmp_path / str(number)).mkdir()
    directory, bucket = open_store(str(tmp_path / str(number))), open_store(f"s3://{BUCKET}/model{number}")
    model = Model()
    for step in steps:
        check_step(directory, model, step)
        check_step(bucket, model, step)
        apply(model, step)
    for store in (directory, bucket):
        check_step(store, model, ("list", GROUP, "", True))

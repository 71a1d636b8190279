"""The reader of job folders: pages together have all files, results are cached, and reads are charged."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.listing import ORDERS, FileQuery, encode_cursor, search_and_sort
from api.schema import budget
from api.schema.budget import Budget
from api.schema.context import FolderReader
from api.store.store import Item, StoreBlocked
from artifacts.layout import MANIFEST
from tests.api.schema.graphql_api import Api
from tests.api.test_listing import ItemStore

names = st.text("ab/.é", min_size=1, max_size=4).filter(lambda name: not name.startswith((".primehub", ".metadata")))
items = st.lists(
    st.builds(Item, names, st.one_of(st.integers(0, 3), st.none()), st.one_of(st.just(1.5), st.none()), st.none()),
    unique_by=lambda item: item.name,
    max_size=20,
)


def reader(store: ItemStore) -> FolderReader:
    return FolderReader(SimpleNamespace(store=store), Budget())  # type: ignore[arg-type]


@given(items, st.sampled_from(ORDERS), st.booleans(), st.integers(1, 5), st.booleans())
def test_pages_together_have_all_files_in_order(
    found: list[Item], order: str, descending: bool, first: int, in_one_request: bool
) -> None:
    store, listed, after = ItemStore(found), [], ""
    request = reader(store)
    for _ in range(30):
        wanted = FileQuery(first=first, after=after, order=order, descending=descending)
        page = (request if in_one_request else reader(store)).page("p/", wanted)
        listed += page.items
        if not page.has_next:
            break
        after = encode_cursor(page.items[-1], wanted)
    assert listed == search_and_sort(found, FileQuery(order=order, descending=descending))
    assert len({encode_cursor(item, FileQuery(order=order)) for item in found}) == len(found)


@given(items, st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["", "a/"])), max_size=6))
def test_cached_listing_equals_a_fresh_one(found: list[Item], requests: list[tuple[int, str]]) -> None:
    request = reader(ItemStore(found))
    for limit, folder in requests:
        assert request.first_files("p/", folder, limit) == reader(ItemStore(found)).first_files("p/", folder, limit)


def test_first_page_is_read_lazily_and_once() -> None:
    store = ItemStore([Item(f"f{number:05d}", 1, 1.0, 1.0) for number in range(1000)])
    request = reader(store)
    for _ in range(3):
        request.page("p/", FileQuery(first=10))
        request.page("p/", FileQuery(first=3))
    assert store.read == 11


class RecordingStore:
    """Records the requests to a store."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.requests: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        def record(key: str, *arguments: Any, **options: Any) -> Any:
            self.requests.append((name, key.removeprefix("groups/team-a/jobArtifacts/")))
            return getattr(self._store, name)(key, *arguments, **options)

        return record


REPEATED_FIELDS = {
    "searches": ('itemsConnection(search: "x{0}") {{ totalCount nodes {{ name }} }}', "list"),
    "orders": ('itemsConnection(first: 1, orderBy: {{size: "desc"}}) {{ pageInfo {{ hasNextPage }} }}', "list"),
    "pages": ("itemsConnection(first: 2) {{ nodes {{ name }} }}", "list"),
    "totals": ("totalCount", "list"),
    "digests": ("itemsConnection {{ nodes {{ sha256 }} }}", "open"),
    "reports": ("report {{ state }}", "read"),
}


@pytest.mark.parametrize(("field", "what"), REPEATED_FIELDS.values(), ids=REPEATED_FIELDS.keys())
def test_repeated_fields_read_the_store_once(api: Api, field: str, what: str) -> None:
    store = RecordingStore(api.store)
    api = Api(api.root, store)
    api.add_job("job-1")
    api.write_folder("job-1", {"x1": b"1", "x2": b"22"})

    def count_requests(times: int) -> int:
        store.requests.clear()
        fields = " ".join(f"f{number}: {field.format(number)}" for number in range(times))
        roots = " ".join(f'r{number}: phJob(where: {{id: "job-1"}}) {{ artifact {{ {fields} }} }}' for number in (1, 2))
        api.execute(f"{{ {roots} }}")
        return len([name for name, _ in store.requests if name == what])

    assert count_requests(1) == count_requests(12) > 0


def test_request_over_budget_begins_no_more_reads(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of any size is read. If it was large, the next folder is not read."""
    api.add_job("job-1")
    api.write_folder("job-1", {f"d{number}/{name}": b"" for number in range(3) for name in "abcdefgh"})
    monkeypatch.setattr(budget, "LISTING_ENTRIES", 1)
    pages = " ".join(
        f'd{number}: itemsConnection(first: 1, prefix: "d{number}") {{ nodes {{ name }} }}' for number in (0, 1, 2)
    )
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {pages} }} }} }}'
    monkeypatch.setattr(budget, "MAX_ENTRIES", 34)  # twice the charge for a listing, eight names and two files
    code, message = api.execute_error(query)
    assert (code, "request fewer" in message) == ("TOO_LARGE", True)
    monkeypatch.setattr(budget, "MAX_ENTRIES", 35)
    api.execute(query)


def test_a_folder_that_its_owner_closed_is_a_conflict(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b""})

    def closed(prefix: str, **_: object) -> None:
        raise StoreBlocked("list", prefix, PermissionError(13, "Permission denied"))

    monkeypatch.setattr(api.store, "list", closed)
    code, message = api.execute_error('{ phJob(where: {id: "job-1"}) { artifact { totalCount } } }')
    assert (code, "permissions" in message) == ("CONFLICT", True)


def test_a_listing_of_very_many_entries_is_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {f"d{number}/a": b"" for number in range(9)})
    monkeypatch.setattr(budget, "MAX_ENTRIES", 200)
    monkeypatch.setattr(budget, "MAX_LISTING_ENTRIES", 0)
    query = '{ phJob(where: {id: "job-1"}) { artifact { totalCount } } }'
    api.execute(query)
    monkeypatch.setattr(budget, "MAX_ENTRIES", 105)
    code, message = api.execute_error(query)
    assert (code, "name a smaller folder" in message) == ("TOO_LARGE", True)


@pytest.mark.parametrize("lines", [b"\n" * 10_000, (b"x" * 3999 + b"\n") * 800], ids=["many", "long"])
def test_manifest_lines_are_charged_as_entries(api: Api, monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    api.add_job("job-1")
    prefix = api.write_folder("job-1", {"a": b"1", "b": b"1"})
    api.store.write(prefix + "0", b"not in the manifest, so it is read to the end")
    content = api.store.read(prefix + MANIFEST, 10_000)
    api.store.write(prefix + MANIFEST, content + lines)
    pages = " ".join(f"p{first}: itemsConnection(first: {first}) {{ nodes {{ sha256 }} }}" for first in (1, 2))
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {pages} }} }} }}'
    api.execute(query)
    monkeypatch.setattr(budget, "MAX_ENTRIES", 10_000)
    assert api.execute_error(query)[0] == "TOO_LARGE"


def test_listed_jobs_are_charged_over_the_whole_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_JOBS", 5)
    for number in range(3):
        api.add_job(f"job-{number}")
    assert api.execute(
        '{ phJobs(where: {groupId_in: ["Team_A"]}) { id } phJobsConnection(first: 2) { edges { cursor } } }'
    )
    for more in ("phJobs { id }", "phJobsConnection(first: 3) { edges { cursor } }"):
        code, message = api.execute_error(f"{{ a: phJobs {{ id }} b: {more} }}")
        assert (code, "page by page" in message) == ("TOO_LARGE", True)

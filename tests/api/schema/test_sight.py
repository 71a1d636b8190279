"""What one request sees of the store: pages that together are the whole, each thing read once, and what that costs."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.listing import ORDERS, FileQuery, encode_cursor, search_and_sort
from api.schema import budget
from api.schema.budget import Budget
from api.schema.context import FolderReader
from api.store.store import Item
from artifacts.layout import MANIFEST
from tests.api.schema.asking import Api
from tests.api.test_listing import Listed

names = st.text("ab/.é", min_size=1, max_size=4).filter(lambda name: not name.startswith((".primehub", ".metadata")))
items = st.lists(
    st.builds(Item, names, st.one_of(st.integers(0, 3), st.none()), st.one_of(st.just(1.5), st.none()), st.none()),
    unique_by=lambda item: item.name,
    max_size=20,
)


def sight(store: Listed) -> FolderReader:
    return FolderReader(SimpleNamespace(store=store), Budget())  # type: ignore[arg-type]


@given(items, st.sampled_from(ORDERS), st.booleans(), st.integers(1, 5), st.booleans())
def test_pages_together_are_all_files_in_order(
    found: list[Item], order: str, descending: bool, first: int, in_one_request: bool
) -> None:
    store, shown, after = Listed(found), [], ""
    request = sight(store)
    for _ in range(30):
        wanted = FileQuery(first=first, after=after, order=order, descending=descending)
        got = (request if in_one_request else sight(store)).page("p/", wanted)
        shown += got.items
        if not got.has_next:
            break
        after = encode_cursor(got.items[-1], wanted)
    assert shown == search_and_sort(found, FileQuery(order=order, descending=descending))
    assert len({encode_cursor(item, FileQuery(order=order)) for item in found}) == len(found)


@given(items, st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["", "a/"])), max_size=6))
def test_what_was_seen_is_what_would_be_seen(found: list[Item], asked: list[tuple[int, str]]) -> None:
    request = sight(Listed(found))
    for most, folder in asked:
        assert request.first_files("p/", folder, most) == sight(Listed(found)).first_files("p/", folder, most)


def test_the_first_page_reads_no_more_than_it_shows_and_is_read_once() -> None:
    store = Listed([Item(f"f{number:05d}", 1, 1.0, 1.0) for number in range(1000)])
    request = sight(store)
    for _ in range(3):
        request.page("p/", FileQuery(first=10))
        request.page("p/", FileQuery(first=3))
    assert store.read == 11


class Counting:
    """A store that notes what is listed and opened."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        def ask(key: str, *arguments: Any, **options: Any) -> Any:
            self.asked.append((name, key.removeprefix("groups/team-a/jobArtifacts/")))
            return getattr(self._store, name)(key, *arguments, **options)

        return ask


ALIKE = {
    "searches": ('itemsConnection(search: "x{0}") {{ totalCount nodes {{ name }} }}', "list"),
    "orders": ('itemsConnection(first: 1, orderBy: {{size: "desc"}}) {{ pageInfo {{ hasNextPage }} }}', "list"),
    "pages": ("itemsConnection(first: 2) {{ nodes {{ name }} }}", "list"),
    "totals": ("totalCount", "list"),
    "digests": ("itemsConnection {{ nodes {{ sha256 }} }}", "open"),
    "reports": ("report {{ state }}", "read"),
}


@pytest.mark.parametrize(("field", "what"), ALIKE.values(), ids=ALIKE.keys())
def test_what_is_asked_twice_is_looked_at_once(api: Api, field: str, what: str) -> None:
    counting = Counting(api.store)
    api = Api(api.root, counting)
    api.add("job-1")
    api.fill("job-1", {"x1": b"1", "x2": b"22"})

    def asked(times: int) -> int:
        counting.asked.clear()
        fields = " ".join(f"f{number}: {field.format(number)}" for number in range(times))
        roots = " ".join(f'r{number}: phJob(where: {{id: "job-1"}}) {{ artifact {{ {fields} }} }}' for number in (1, 2))
        api.ask(f"{{ {roots} }}")
        return len([name for name, _ in counting.asked if name == what])

    assert asked(1) == asked(12) > 0


def test_a_request_that_has_read_its_share_begins_nothing_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of any size is read; what comes after it is not, if it was large."""
    api.add("job-1")
    api.fill("job-1", {f"d{number}/{name}": b"" for number in range(3) for name in "abcdefgh"})
    monkeypatch.setattr(budget, "LISTING_ENTRIES", 1)
    pages = " ".join(
        f'd{number}: itemsConnection(first: 1, prefix: "d{number}") {{ nodes {{ name }} }}' for number in (0, 1, 2)
    )
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {pages} }} }} }}'
    monkeypatch.setattr(budget, "MAX_ENTRIES", 34)  # twice: a listing, eight names, and two files
    code, message = api.fail(query)
    assert (code, "request fewer" in message) == ("TOO_LARGE", True)
    monkeypatch.setattr(budget, "MAX_ENTRIES", 35)
    api.ask(query)


@pytest.mark.parametrize("lines", [b"\n" * 10_000, (b"x" * 9999 + b"\n") * 300], ids=["many", "long"])
def test_lines_of_a_manifest_count_as_entries(api: Api, monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    api.add("job-1")
    prefix = api.fill("job-1", {"a": b"1", "b": b"1"})
    api.store.write(prefix + "0", b"it is looked for to the end")
    content = api.store.read(prefix + MANIFEST, 10_000)
    api.store.write(prefix + MANIFEST, content + lines)
    pages = " ".join(f"p{first}: itemsConnection(first: {first}) {{ nodes {{ sha256 }} }}" for first in (1, 2))
    query = f'{{ phJob(where: {{id: "job-1"}}) {{ artifact {{ {pages} }} }} }}'
    api.ask(query)
    monkeypatch.setattr(budget, "MAX_ENTRIES", 10_000)
    assert api.fail(query)[0] == "TOO_LARGE"


def test_rows_of_jobs_are_counted_over_the_whole_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_JOBS", 5)
    for number in range(3):
        api.add(f"job-{number}")
    assert api.ask('{ phJobs(where: {groupId_in: ["Team_A"]}) { id } phJobsConnection(first: 2) { edges { cursor } } }')
    for more in ("phJobs { id }", "phJobsConnection(first: 3) { edges { cursor } }"):
        code, message = api.fail(f"{{ a: phJobs {{ id }} b: {more} }}")
        assert (code, "page by page" in message) == ("TOO_LARGE", True)

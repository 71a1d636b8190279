"""Times in listings; and the usage of a group."""

import itertools
from typing import Any

import pytest

from api.listing import format_iso_time
from api.store.store import FileMissing, Item, OpenFile
from api.usage import CACHE_SECONDS, MAX_SECONDS, GroupUsage, UsageCache, count_usage


class ItemStore:
    """A store with these items. `read` counts the items that were listed."""

    def __init__(self, items: list[Item]) -> None:
        self._items, self.read = sorted(items, key=lambda item: item.name.encode()), 0

    def list(self, prefix: str, *, after: str = "", **_: object) -> Any:
        for item in self._items:
            if item.name > after:
                self.read += 1
                yield item

    def open(self, key: str) -> OpenFile:
        raise FileMissing(key)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1700000000.1234, "2023-11-14T22:13:20.123Z"),
        (1700000000.9999, "2023-11-14T22:13:21.000Z"),
        (-0.001, "1969-12-31T23:59:59.999Z"),
        (1e18, "9999-12-31T23:59:59.000Z"),
        (-1e18, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_formatted_like_javascript(seconds: float, text: str) -> None:
    assert format_iso_time(seconds) == text


def files(*names: str) -> list[Item]:
    return [Item(name, 10, 1.0, 1.0) for name in names]


def test_usage_excludes_the_collectors_own_files() -> None:
    items = files("a/x", "a/y/z", "b/.primehub/metadata/expiredAt", "b/.metadata/expiredAt", "c/.primehub2", "stray")
    assert count_usage(items, lambda: True) == GroupUsage(jobs=2, files=3, bytes=30, complete=True)


def test_usage_is_incomplete_beyond_the_limits() -> None:
    endless = (Item(f"a/{number}", 1, 1.0, 1.0) for number in itertools.count())
    answers = iter([True, True, False])
    assert count_usage(endless, lambda: next(answers)) == GroupUsage(1, 2999, 2999, False)
    assert count_usage(files("a/1", "a/2", "a/3"), lambda: True, max_files=2) == GroupUsage(1, 2, 20, False)


def test_usage_is_cached_per_group() -> None:
    now = [0.0]
    store = ItemStore(files("a/x"))
    usage = UsageCache(store, lambda: 7.0, lambda: now[0])  # type: ignore[arg-type]
    assert usage.get("Team_A").usage.files == 1
    store._items.append(Item("b/y", 1, 1.0, 1.0))
    now[0] = CACHE_SECONDS - 1
    assert usage.get("team-a").usage.files == 1
    assert usage.get("b").usage.files == 2
    now[0] += MAX_SECONDS
    assert usage.get("team-a").usage.files == 2
    assert usage.get("team-a").measured_at == 7.0

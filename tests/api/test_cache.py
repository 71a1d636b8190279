"""The cache: bounds, expiry, and one load per key at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.cache import ExpiringCache


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ExpiringCache[str, str]:
    return ExpiringCache(3, clock)


def test_value_expires_after_its_own_seconds(cache: ExpiringCache[str, str], clock: Clock) -> None:
    cache.put("short", "a", 2)
    cache.put("long", "b", 5)
    clock.seconds += 1.9
    assert (cache.get("short"), cache.get("long")) == ("a", "b")
    clock.seconds += 0.1
    assert (cache.get("short"), cache.get("long")) == (None, "b")


def test_put_replaces_value_and_expiry(cache: ExpiringCache[str, str], clock: Clock) -> None:
    cache.put("key", "old", 1)
    cache.put("key", "new", 10)
    clock.seconds += 5
    assert cache.get("key") == "new"


@pytest.mark.parametrize("seconds", [0, -1])
def test_value_without_a_future_is_not_stored(cache: ExpiringCache[str, str], seconds: float) -> None:
    cache.put("key", "old", 10)
    cache.put("key", "new", seconds)
    assert cache.get("key") is None


def test_full_cache_evicts_the_least_recently_used(cache: ExpiringCache[str, str]) -> None:
    for key in ("a", "b", "c"):
        cache.put(key, key, 10)
    assert cache.get("a") == "a"
    cache.put("d", "d", 10)
    assert [cache.get(key) for key in ("a", "b", "c", "d")] == ["a", None, "c", "d"]


def test_full_cache_drops_expired_entries_before_others(cache: ExpiringCache[str, str], clock: Clock) -> None:
    cache.put("oldest", "x", 100)
    cache.put("expired", "x", 1)
    cache.put("newer", "x", 100)
    clock.seconds += 1
    cache.put("newest", "x", 100)
    assert [cache.get(key) for key in ("oldest", "expired", "newer", "newest")] == ["x", None, "x", "x"]


def test_loaded_value_is_cached_even_if_it_is_empty(cache: ExpiringCache[str, str], clock: Clock) -> None:
    loads: list[str] = []

    def load() -> tuple[str, float]:
        loads.append("")
        return "", 2

    assert cache.get_or_load("key", load) == cache.get_or_load("key", load) == ""
    assert len(loads) == 1
    clock.seconds += 2
    cache.get_or_load("key", load)
    assert len(loads) == 2


def test_failed_load_is_not_cached(cache: ExpiringCache[str, str]) -> None:
    def fail() -> tuple[str, float]:
        raise OSError("unreachable")

    for _ in range(2):
        with pytest.raises(OSError, match="unreachable"):
            cache.get_or_load("key", fail)
    assert cache.get_or_load("key", lambda: ("value", 1)) == "value"


def test_threads_that_want_one_key_share_one_load(cache: ExpiringCache[str, str]) -> None:
    loads, ready = [], threading.Barrier(8)

    def load() -> tuple[str, float]:
        loads.append(threading.get_ident())
        return "value", 10

    def ask(_: int) -> str:
        ready.wait(20)
        return cache.get_or_load("key", load)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"value"}
    assert len(loads) == 1


def test_a_key_does_not_wait_for_the_load_of_another(cache: ExpiringCache[str, str]) -> None:
    loading, release = threading.Event(), threading.Event()

    def load_slowly() -> tuple[str, float]:
        loading.set()
        release.wait(20)
        return "slow", 10

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(cache.get_or_load, "slow", load_slowly)
        assert loading.wait(20)
        try:
            assert cache.get_or_load("fast", lambda: ("fast", 10)) == "fast"
            assert not slow.done()
        finally:
            release.set()
        assert slow.result(20) == "slow"

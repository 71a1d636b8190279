"""A work queue: each key once, one worker per key, no key lost, no hot loop."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kube.queue import WorkQueue
from tests.kube.informers import until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_due_keys_are_returned_once_in_order() -> None:
    queue = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert (queue.get(), queue.get(), len(queue)) == ("a", "b", 0)


def test_low_priority_keys_wait_for_all_others() -> None:
    queue = WorkQueue()
    for key in ("a", "b", "c"):
        queue.add(key, low_priority=True)
    queue.add("d")
    queue.add("b")
    queue.add("d", low_priority=True)
    assert len(queue) == 4
    assert [queue.get() for _ in range(4)] == ["d", "b", "a", "c"]


def test_low_priority_key_added_during_processing_is_queued_again() -> None:
    queue = WorkQueue()
    queue.add("a", low_priority=True)
    assert queue.get() == "a"
    queue.add("a", low_priority=True)
    queue.done("a")
    assert (queue.get(), len(queue)) == ("a", 0)


def test_waiting_time_counts_from_the_first_add_of_a_low_priority_key() -> None:
    clock, waits = Clock(), list[float]()
    queue = WorkQueue(on_wait=waits.append, clock=clock)
    queue.add("a", low_priority=True)
    clock.now = 5
    queue.add("a")
    queue.get()
    assert waits == [5.0]


def test_key_added_during_processing_is_queued_again() -> None:
    queue = WorkQueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"
    queue.done("a")
    assert queue.get() == "a"


def fail(queue: WorkQueue, after: float = 0.0) -> None:
    assert queue.get() == "a"
    queue.add("a")  # as a watch does for the changes of our own attempt
    queue.done("a", failed=True, after=after)


def is_due(queue: WorkQueue) -> bool:
    """Whether "a" is due, in addition to a key that is always due."""
    queue.add("b")
    keys = [queue.get()]
    queue.done("b")
    return "a" in keys or len(queue) > 0


def test_failed_key_is_delayed_longer_each_time_without_delaying_others() -> None:
    clock = Clock()
    queue = WorkQueue(initial_delay_seconds=1.0, max_delay_seconds=8.0, clock=clock)
    queue.add("a")
    for limit in (1.0, 2.0, 4.0, 8.0, 8.0):
        fail(queue)
        clock.now += limit / 2 - 0.01
        assert not is_due(queue)
        clock.now += limit / 2 + 0.01
    assert queue.get() == "a"
    queue.done("a")
    queue.add("a")
    fail(queue)
    clock.now += 1.0
    fail(queue, after=50.0)
    clock.now += 49.0
    assert not is_due(queue)
    clock.now += 1.0
    assert queue.get() == "a"


def test_earliest_of_several_delays_counts() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock)
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.now = 5
    assert queue.get() == "a"
    queue.done("a")
    clock.now = 100
    queue.add("b")
    assert queue.get() == "b"
    assert len(queue) == 0


def test_delay_longer_than_a_lock_can_wait_is_accepted() -> None:
    queue = WorkQueue()
    queue.add_after("a", 10.0**12)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(queue.get)
        queue.add("b")
        assert result.result() == "b"
        queue.done("b")
        waits = pool.submit(queue.get)
        queue.close()
        assert waits.result() is None


def test_waiting_time_is_reported() -> None:
    clock, waits = Clock(), list[float]()
    queue = WorkQueue(clock=clock, on_wait=waits.append)
    queue.add_after("a", 5)
    clock.now = 7
    queue.get()
    assert waits == [2.0]


def test_close_ends_every_wait() -> None:
    queue = WorkQueue()
    queue.add_after("a", 1000)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(queue.get) for _ in range(4)]
        queue.close()
        assert [result.result() for result in results] == [None] * 4


def test_workers_never_share_a_key_and_miss_no_change() -> None:
    queue = WorkQueue(initial_delay_seconds=0.001, max_delay_seconds=0.002)
    version, done, busy = Counter[str](), Counter[str](), Counter[str]()
    lock, shared = threading.Lock(), list[str]()

    def work() -> None:
        while (key := queue.get()) is not None:
            with lock:
                busy[key] += 1
                if busy[key] > 1:
                    shared.append(key)
                processed_version = version[key]
            with lock:
                done[key] = processed_version
                busy[key] -= 1
            queue.done(key, failed=processed_version % 7 == 3)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(3000):
        key = str(number % 17)
        with lock:
            version[key] += 1
        queue.add(key)
    until(lambda: done == version, "all changes are processed")
    queue.close()
    for thread in threads:
        thread.join()
    assert not shared


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "low", "later", "take", "done", "fail", "wait"]), st.sampled_from("abc")),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
@example(
    [("later", "c"), ("add", "c"), ("take", "c"), *[("wait", "c")] * 3, ("add", "a"), ("take", "a"), ("take", "a")]
)
def test_every_added_key_is_processed_eventually(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    queue = WorkQueue(initial_delay_seconds=1.0, max_delay_seconds=4.0, clock=clock)
    owed, working = set[str](), set[str]()
    delayed: dict[str, float] = {}  # key -> latest end of its delay
    for step, key in steps:
        if step in ("add", "low"):
            queue.add(key, low_priority=step == "low")
            owed.add(key)
        elif step == "later":
            queue.add_after(key, 3)
            owed.add(key)
            delayed[key] = min(clock.now + 3, delayed.get(key, clock.now + 3))
        # A key in `working` that was added, or whose delay may be over, may count as due but cannot be returned yet.
        elif step == "take" and len(queue) > len(working & (owed | delayed.keys())):
            taken = queue.get()
            assert taken is not None
            assert taken not in working
            delayed = {other: at for other, at in delayed.items() if at > clock.now or other in working}
            working.add(taken)
            owed.discard(taken)
        elif step in ("done", "fail") and working:
            ended = working.pop()
            queue.done(ended, failed=step == "fail")
            if step == "fail":
                owed.add(ended)
                delayed[ended] = min(clock.now + 4, delayed.get(ended, clock.now + 4))
        else:
            clock.now += 1
    for key in working:
        queue.done(key)
    while owed:
        clock.now += 10
        taken = queue.get()
        assert taken is not None
        owed.discard(taken)
        queue.done(taken)

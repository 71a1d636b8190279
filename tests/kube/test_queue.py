"""A queue of keys: once each, one worker at a time, none lost, none in a hot loop."""

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


def test_a_key_that_is_due_comes_once_first_in_first_out() -> None:
    queue = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert (queue.get(), queue.get(), len(queue)) == ("a", "b", 0)


def test_a_key_added_while_it_is_worked_on_comes_again_afterwards() -> None:
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
    queue.add("a")  # as a watch does, of what our own try has changed
    queue.done("a", failed=True, after=after)


def is_due(queue: WorkQueue) -> bool:
    """Whether a is, beside another key that is held up by nothing."""
    queue.add("b")
    keys = [queue.get()]
    queue.done("b")
    return "a" in keys or len(queue) > 0


def test_a_failed_key_waits_longer_each_time_and_holds_up_no_other() -> None:
    clock = Clock()
    queue = WorkQueue(initial_delay_seconds=1.0, max_delay_seconds=8.0, clock=clock)
    queue.add("a")
    for most in (1.0, 2.0, 4.0, 8.0, 8.0):
        fail(queue)
        clock.now += most / 2 - 0.01
        assert not is_due(queue)
        clock.now += most / 2 + 0.01
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


def test_of_two_later_times_the_earlier_counts() -> None:
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


def test_a_time_that_no_lock_can_wait_for_harms_nobody() -> None:
    queue = WorkQueue()
    queue.add_after("a", 10.0**12)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(queue.get)
        queue.add("b")
        assert found.result() == "b"
        queue.done("b")
        waits = pool.submit(queue.get)
        queue.close()
        assert waits.result() is None


def test_waits_are_told() -> None:
    clock, waits = Clock(), list[float]()
    queue = WorkQueue(clock=clock, on_wait=waits.append)
    queue.add_after("a", 5)
    clock.now = 7
    queue.get()
    assert waits == [2.0]


def test_closing_ends_every_wait() -> None:
    queue = WorkQueue()
    queue.add_after("a", 1000)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(queue.get) for _ in range(4)]
        queue.close()
        assert [each.result() for each in found] == [None] * 4


def test_many_workers_never_share_a_key_and_miss_no_change() -> None:
    queue = WorkQueue(initial_delay_seconds=0.001, max_delay_seconds=0.002)
    version, done, busy = Counter[str](), Counter[str](), Counter[str]()
    lock, shared = threading.Lock(), list[str]()

    def work() -> None:
        while (key := queue.get()) is not None:
            with lock:
                busy[key] += 1
                if busy[key] > 1:
                    shared.append(key)
                found = version[key]
            with lock:
                done[key] = found
                busy[key] -= 1
            queue.done(key, failed=found % 7 == 3)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(3000):
        key = str(number % 17)
        with lock:
            version[key] += 1
        queue.add(key)
    until(lambda: done == version, "all changes are seen")
    queue.close()
    for thread in threads:
        thread.join()
    assert not shared


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "later", "take", "done", "fail", "wait"]), st.sampled_from("abc")), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
@example(
    [("later", "c"), ("add", "c"), ("take", "c"), *[("wait", "c")] * 3, ("add", "a"), ("take", "a"), ("take", "a")]
)
def test_whatever_was_added_is_worked_on_in_the_end(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    queue = WorkQueue(initial_delay_seconds=1.0, max_delay_seconds=4.0, clock=clock)
    owed, working = set[str](), set[str]()
    delayed: dict[str, float] = {}  # key -> when its delay is over at the latest
    for step, key in steps:
        if step == "add":
            queue.add(key)
            owed.add(key)
        elif step == "later":
            queue.add_after(key, 3)
            owed.add(key)
            delayed[key] = min(clock.now + 3, delayed.get(key, clock.now + 3))
        # A key in `working` that was added, or whose delay may be over, may count as due again: it cannot be taken yet.
        elif step == "take" and len(queue) > len(working & (owed | delayed.keys())):
            taken = queue.get()
            assert taken is not None
            assert taken not in working
            delayed = {each: at for each, at in delayed.items() if at > clock.now or each in working}
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

"""How much is kept is measured the same on any store; how full it is, only one with bounds can tell."""

import time

from api.cleanup.usage import measure_usage
from api.store.bucket import BucketStore
from api.store.store import Store


def test_what_is_kept_is_measured_the_same_on_any_store(store: Store) -> None:
    for group, job in (("a", "job-1"), ("a", "job-2"), ("b-c", "job-1")):
        folder = f"groups/{group}/jobArtifacts/{job}/"
        for name in ("model.bin", "sub/loss.csv", ".primehub/metadata/report.json", ".metadata/expiredAt"):
            store.write(folder + name, b"12345")
    store.write("groups/a/data.bin", b"12345")
    kept = measure_usage(store, time.time, lambda: True)
    assert kept is not None
    assert kept.groups == {"a": (2, 4, 20), "b-c": (1, 2, 10)}
    assert kept.total == (3, 6, 30)


def test_a_bucket_has_no_bounds(store: Store) -> None:
    assert (store.space() is None) == isinstance(store, BucketStore)

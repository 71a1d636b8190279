"""A program that calls every method of a directory store as another user, and prints each outcome as JSON.

Arguments: the roots of the stores. The outcome is "ok", or the name of the error's class.
"""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry

from api.metrics import ApiMetrics
from api.store.instrumented import InstrumentedStore
from api.store.posix import PosixStore
from tests.other_user import become_other_user

PREFIXES = ("groups/", "groups/a/", "groups/a/jobArtifacts/", "groups/a/jobArtifacts/job-1/")
JOB = PREFIXES[-1]


def operations(store: InstrumentedStore) -> dict[str, Callable[[], object]]:
    def read(key: str) -> None:
        with closing(store.open(key)) as file:
            list(file.chunks(0, file.stat.size))

    calls: dict[str, Callable[[], object]] = {}
    for prefix in (*PREFIXES, JOB + "d/"):
        for recursive in (True, False):
            calls[f"list {prefix} {recursive}"] = lambda p=prefix, r=recursive: list(store.list(p, recursive=r))  # type: ignore[misc]
            calls[f"list readable {prefix} {recursive}"] = lambda p=prefix, r=recursive: list(  # type: ignore[misc]
                store.list(p, recursive=r, on_unreadable=lambda _: None)
            )
    for key in (JOB + "f", JOB + "d/g"):
        calls[f"stat {key}"] = lambda k=key: store.stat(k)  # type: ignore[misc]
        calls[f"open {key}"] = lambda k=key: read(k)  # type: ignore[misc]
        calls[f"read {key}"] = lambda k=key: store.read(k, 10)  # type: ignore[misc]
        calls[f"write {key}"] = lambda k=key: store.write(k, b"new")  # type: ignore[misc]
        calls[f"delete {key}"] = lambda k=key: store.delete(k)  # type: ignore[misc]
    calls["write new"] = lambda: store.write(JOB + "d/e/new", b"new")
    calls["remove"] = lambda: store.remove(JOB, ["f"])
    return calls | {"check": store.check, "capacity": store.capacity}


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        return type(error).__name__
    return "ok"


def main() -> None:
    become_other_user()
    metrics = ApiMetrics(CollectorRegistry())
    outcomes = {}
    for root in sys.argv[1:]:
        store = InstrumentedStore(PosixStore(root), metrics.store_seconds, metrics.store_errors)
        outcomes[Path(root).name] = {name: outcome(call) for name, call in operations(store).items()}
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()

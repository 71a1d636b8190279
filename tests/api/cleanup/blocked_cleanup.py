"""A program that runs the cleanup twice as the user of the API's pod, and prints the results as JSON.

Argument: the root of a store that this user owns, except for the folders that other users closed.
"""

import io
import json
import logging
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from api.cleanup.command import run_cleanup
from api.cleanup.state import read_last_run, read_last_success, read_usage
from api.cleanup.store_metrics import update_usage
from api.usage import UsageCache
from tests.api.cleanup.environment import DAY, directory_environment
from tests.lines import lines_of
from tests.other_user import become_other_user

GROUPS = ("a", "closed", "z")


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def main() -> None:
    become_other_user()
    handler = _Records()
    logging.getLogger().addHandler(handler)
    env = directory_environment(Path(sys.argv[1]))
    update_usage(env.store, env.metrics, env.clock, lambda: True)
    usage = read_usage(env.store)
    assert usage
    cache = UsageCache(env.store, env.clock, time.monotonic)
    by_group = {group: cache.get(group).usage for group in GROUPS}
    runs = []
    for day in (0, 8, 9):
        env.clock_offset = day * DAY
        output = io.StringIO()
        options = SimpleNamespace(group=None, dry_run=False, force=True)
        code = run_cleanup(env.cleaner, options, output)  # type: ignore[arg-type]
        run, success = read_last_run(env.store), read_last_success(env.store)
        assert run
        value = env.metrics.registry.get_sample_value
        runs.append(
            {
                "code": code,
                "output": output.getvalue().splitlines(),
                "remaining": sorted(
                    str(path.parent.name) for path in Path(sys.argv[1]).glob("groups/*/jobArtifacts/*/model.bin")
                ),
                "blocked": [run.blocked, value("phjob_artifact_cleanup_blocked")],
                "oldest_due": run.oldest_due,
                "failed": value("phjob_artifact_cleanup_failed_total"),
                "has_succeeded": success is not None and abs(success - env.clock()) < DAY / 2,
            }
        )
    print(
        json.dumps(
            {
                "runs": runs,
                "log": lines_of(handler.records),
                "measured": {group: row[0] for group, row in usage.groups.items()},
                "unreadable": usage.unreadable,
                "usage": {group: [row.jobs, row.files, row.complete] for group, row in by_group.items()},
            }
        )
    )


if __name__ == "__main__":
    main()

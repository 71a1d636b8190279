"""`python -m manifests.dashboards` writes the dashboards as JSON; with a Prometheus' URL it runs their queries."""

import sys

from manifests.dashboards.boards import FOLDER, ROWS, dashboard_json
from manifests.dashboards.check import NO_DATA, query_results


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit code: 1 if a query has no data."""
    if not arguments:
        for name in ROWS:
            (FOLDER / f"{name}.json").write_text(dashboard_json(name))
        return 0
    results = list(query_results(arguments[0]))
    for number, (query, result) in enumerate(results):
        if number == 0 or results[number - 1][0][:2] != query[:2]:
            print(f"\n{query.board}: {query.title}")
        print(f"    {query.expression}\n    = {result}")
    return int(any(result == NO_DATA for _, result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

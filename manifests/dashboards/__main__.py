"""`python -m manifests.dashboards`: writes the dashboards' JSON; with the URL of a Prometheus: shows its answers."""

import sys

from manifests.dashboards.boards import FOLDER, ROWS, build
from manifests.dashboards.check import told


def main(arguments: list[str]) -> int:
    """The exit code: 1 where a panel would be empty."""
    if not arguments:
        for name in ROWS:
            (FOLDER / f"{name}.json").write_text(build(name))
        return 0
    shown = list(told(arguments[0]))
    for number, (query, answer) in enumerate(shown):
        if number == 0 or shown[number - 1][0][:2] != query[:2]:
            print(f"\n{query.board}: {query.title}")
        print(f"    {query.expression}\n    = {answer}")
    return int(any(answer == "NO DATA" for _, answer in shown))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

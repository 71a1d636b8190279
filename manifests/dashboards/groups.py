"""The dashboard for members of a group: results of their jobs, and how much they store.

Its metrics exist only if PHJOB_METRICS_GROUPS is set.
"""

from manifests.dashboards.expressions import group_gauge, increase, rate
from manifests.dashboards.panels import Graph, Number, Rows

_GROUP = 'group=~"$group"'
_OR_ZERO = " or on() vector(0)"

ROWS: Rows = {
    "Are our jobs' artifacts collected?": [
        Graph(
            "How did the collection of our jobs' artifacts end?",
            {"{{state}}": increase("group_results", "state", _GROUP) + _OR_ZERO},
            stacked=True,
            span=12,
        ),
        Graph(
            "How often did our jobs exceed a limit?",
            {"{{group}}": increase("group_over_limit", "group", _GROUP) + _OR_ZERO},
            stacked=True,
            span=12,
        ),
    ],
    "How much do we store?": [
        Number("How many bytes do we store?", {"": group_gauge("group_kept_bytes", _GROUP)}, "bytes", span=4),
        Number("How many files do we store?", {"": group_gauge("group_kept_files", _GROUP)}, span=4),
        Number("How many jobs have stored artifacts?", {"": group_gauge("group_kept_jobs", _GROUP)}, span=4),
        Graph(
            "How fast do our jobs fill the store?",
            {"{{group}}": rate("group_collected_bytes", "group", _GROUP) + _OR_ZERO},
            "Bps",
            span=12,
        ),
        Graph(
            "How many files are collected from our jobs?",
            {"{{group}}": increase("group_collected_files", "group", _GROUP) + _OR_ZERO},
            stacked=True,
            span=12,
        ),
    ],
}

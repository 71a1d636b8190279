"""The dashboard of a group's users: how their jobs' artifacts fare, and how much they keep.

Its series are there where PHJOB_METRICS_GROUPS is set.
"""

from manifests.dashboards.expressions import grown, of_groups, speed
from manifests.dashboards.panels import Graph, Number, Rows

_GROUP = 'group=~"$group"'
_NONE = " or on() vector(0)"

ROWS: Rows = {
    "Do we keep what our jobs leave?": [
        Graph(
            "What became of our jobs' artifacts?",
            {"{{state}}": grown("group_results", "state", _GROUP) + _NONE},
            stacked=True,
            span=12,
        ),
        Graph(
            "How often did our jobs leave more than is allowed?",
            {"{{group}}": grown("group_over_limit", "group", _GROUP) + _NONE},
            stacked=True,
            span=12,
        ),
    ],
    "How much do we keep?": [
        Number("How much do we keep?", {"": of_groups("group_kept_bytes", _GROUP)}, "bytes", span=4),
        Number("How many files is that?", {"": of_groups("group_kept_files", _GROUP)}, span=4),
        Number("Of how many jobs?", {"": of_groups("group_kept_jobs", _GROUP)}, span=4),
        Graph(
            "How fast do our jobs fill the store?",
            {"{{group}}": speed("group_collected_bytes", "group", _GROUP) + _NONE},
            "Bps",
            span=12,
        ),
        Graph(
            "How many files do our jobs leave?",
            {"{{group}}": grown("group_collected_files", "group", _GROUP) + _NONE},
            stacked=True,
            span=12,
        ),
    ],
}

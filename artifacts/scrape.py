"""The setting that bounds the label `group` of metrics, shared by the controller and the API."""

from artifacts.environment import Setting, number

METRICS_GROUPS = Setting(
    "metrics_groups",
    "PHJOB_METRICS_GROUPS",
    "0",
    number(0, 10_000),
    "most groups that metrics tell by name; all others are one, other; 0: nothing is told by group",
)

"""What all parts that Prometheus scrapes have in common. What a scraper asks for is read as hostile."""

from artifacts.environment import Setting, number

METRICS_GROUPS = Setting(
    "metrics_groups",
    "PHJOB_METRICS_GROUPS",
    "0",
    number(0, 10_000),
    "most groups that metrics tell by name; all others are one, other; 0: nothing is told by group",
)


def wants_openmetrics(accept: str) -> bool:
    """Whether the header Accept asks for OpenMetrics, of the version that every part can give: 1.0.0."""
    for wanted in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in wanted.split(";"))
        versions = [part.removeprefix("version=") for part in parameters if part.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["1.0.0"]):
            return True
    return False

"""What the panels ask Prometheus, in a few forms. Pure: texts from names of docs/metrics.md."""

PREFIX = "phjob_artifact_"
RANGE = "$__rate_interval"


def grown(name: str, by: str = "", where: str = "") -> str:
    """How much a counter of all replicas grew between two points of a graph, for each value of the labels `by`."""
    return f"sum{_by(by)} (increase({PREFIX}{name}_total{_where(where)}[{RANGE}]))"


def speed(name: str, by: str = "", where: str = "") -> str:
    """The same per second."""
    return f"sum{_by(by)} (rate({PREFIX}{name}_total{_where(where)}[{RANGE}]))"


def quantile(share: float, name: str, where: str = "") -> str:
    """That of a histogram of all replicas; 0 where nothing was observed, of which it would else be no number."""
    buckets = f"sum by (le) (rate({PREFIX}{name}_bucket{_where(where)}[{RANGE}]))"
    idle = f"0 * sum({PREFIX}{name}_count{_where(where)})"  # and nothing where no part tells of it
    return f"histogram_quantile({share:g}, {buckets}) >= 0 or {idle}"


def quantiles(name: str, where: str = "") -> dict[str, str]:
    """The median, and what one in a hundred exceeds."""
    return {"half take less than": quantile(0.5, name, where), "99 % take less than": quantile(0.99, name, where)}


def now(name: str, how: str = "max", by: str = "", where: str = "") -> str:
    """A gauge of all replicas, which each part tells from its start: where there is none, no part answers."""
    return f"{how}{_by(by)} ({PREFIX}{name}{_where(where)})"


def of_groups(name: str, where: str = "") -> str:
    """A gauge by group, of all groups together; each replica tells the same. 0 where nothing is kept yet."""
    return f"sum({now(name, by='group', where=where)}) or vector(0)"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _where(conditions: str) -> str:
    return f"{{{conditions}}}" if conditions else ""

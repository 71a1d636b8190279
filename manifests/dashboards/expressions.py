"""Builds the PromQL expressions of the panels from metric names without their prefix. Pure."""

PREFIX = "phjob_artifact_"
RANGE = "$__rate_interval"


def increase(name: str, by: str = "", matchers: str = "") -> str:
    """The growth of a counter between two points of a graph, over all replicas, by the labels `by`."""
    return f"sum{_by(by)} (increase({PREFIX}{name}_total{_braces(matchers)}[{RANGE}]))"


def rate(name: str, by: str = "", matchers: str = "") -> str:
    """The growth of a counter per second, over all replicas, by the labels `by`."""
    return f"sum{_by(by)} (rate({PREFIX}{name}_total{_braces(matchers)}[{RANGE}]))"


def quantile(share: float, name: str, matchers: str = "") -> str:
    """A quantile of a histogram over all replicas; 0 instead of NaN if there were no observations."""
    buckets = f"sum by (le) (rate({PREFIX}{name}_bucket{_braces(matchers)}[{RANGE}]))"
    idle = f"0 * sum({PREFIX}{name}_count{_braces(matchers)})"  # empty if no replica exposes the metric
    return f"histogram_quantile({share:g}, {buckets}) >= 0 or {idle}"


def quantiles(name: str, matchers: str = "") -> dict[str, str]:
    """The median and the 99th percentile of a histogram, by legend."""
    return {"median": quantile(0.5, name, matchers), "99th percentile": quantile(0.99, name, matchers)}


def gauge(name: str, aggregation: str = "max", by: str = "", matchers: str = "") -> str:
    """A gauge aggregated over all replicas. Empty only if no replica is up, since they expose it from the start."""
    return f"{aggregation}{_by(by)} ({PREFIX}{name}{_braces(matchers)})"


def group_gauge(name: str, matchers: str = "") -> str:
    """The sum of a gauge over groups. All replicas expose the same values, so one is used. 0 if no group has any."""
    return f"sum({gauge(name, by='group', matchers=matchers)}) or vector(0)"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _braces(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""

"""The dashboard for operators of the service: health, lost artifacts, speed, use of the store, cleanup, API."""

from manifests.dashboards.expressions import PREFIX, gauge, increase, quantiles, rate
from manifests.dashboards.panels import Graph, Number, Rows

_LOST = 'state=~"incomplete|unknown|not-injected"'
_DAY = "[24h]"
_LOST_SHARE = (
    f"sum(increase({PREFIX}results_total{{{_LOST}}}{_DAY})) / clamp_min(sum(increase({PREFIX}results_total{_DAY})), 1)"
)
_CERTIFICATE_VALIDITY = f"min({PREFIX}webhook_certificate_expiry_timestamp_seconds) - time()"
_LAST_CLEANUP = gauge("cleanup_last_success_timestamp_seconds")
_FREE_SHARE = (
    f"min({PREFIX}store_available_bytes / ({PREFIX}store_size_bytes > 0)) "
    f"or max({PREFIX}store_size_bytes) == bool 0"  # 1 if the store has no size, such as a bucket
)

ROWS: Rows = {
    "Is the service healthy?": [
        Number("How many replicas are up?", {"{{part}}": f'count by (part) ({PREFIX}build_info{{part!="sidecar"}})'}),
        Number("Is there exactly one leader?", {"leaders": gauge("leader", "sum")}, exactly=1),
        Number("Is injection on?", {"": gauge("injection_off")}, bad=1, value_texts={"0": "yes", "1": "switched off"}),
        Number("How old is the cached cluster state?", {"": gauge("watch_age_seconds")}, "s", warn=120, bad=300),
        Number(
            "How long is the webhook's certificate still valid?",
            {"": _CERTIFICATE_VALIDITY},
            "dtdurations",
            warn=14 * 86400,
            bad=3 * 86400,
        ),
        Number(
            "When did the cleanup last succeed?",
            {"": f"({_LAST_CLEANUP}) * 1000"},
            "dateTimeFromNow",
            value_texts={"0": "not yet"},
        ),
    ],
    "Which artifacts are lost?": [
        Graph(
            "How did the collection of pods' artifacts end?", {"{{state}}": increase("results", "state")}, stacked=True
        ),
        Graph(
            "Why were artifacts lost?",
            {"{{state}}: {{reason}}": increase("results", "state, reason", 'state!~"sealed|empty"')},
            stacked=True,
        ),
        Graph("Why were files skipped?", {"{{reason}}": increase("skipped_files", "reason")}, stacked=True),
        Number(
            "What share of pods lost artifacts in the last 24 hours?",
            {"": _LOST_SHARE},
            "percentunit",
            warn=0.01,
            bad=0.05,
            span=8,
        ),
        Graph(
            "What did the webhook decide about pods?",
            {"{{outcome}}": increase("webhook_requests", "outcome")},
            stacked=True,
        ),
        Graph(
            "How often do jobs exceed a limit, or sidecars fail?",
            {
                "limit exceeded": increase("over_limit"),
                "sidecar did not start, or crashed": increase("sidecar_start_failures"),
            },
        ),
    ],
    "How fast is the service?": [
        Graph("How long after a job's end are its artifacts sealed?", quantiles("lag_seconds"), "s"),
        Graph("How much of the grace period does the last sync take?", quantiles("grace_used_ratio"), "percentunit"),
        Graph("How long does the webhook take (its timeout is 3 s)?", quantiles("webhook_seconds"), "s"),
        Graph("How long do PhJobs wait for the controller?", quantiles("queue_seconds"), "s"),
        Graph(
            "How much work is pending?",
            {"queued PhJobs": gauge("queue_depth", "sum"), "pods {{state}}": gauge("open_pods", by="state")},
        ),
        Graph(
            "Which requests to the Kubernetes API fail?",
            {"{{kind}}": increase("kubernetes_errors", "kind")},
            stacked=True,
        ),
    ],
    "How full is the store?": [
        Number("How many bytes are stored?", {"": gauge("kept_bytes")}, "bytes"),
        Number("How many files are stored?", {"": gauge("kept_files")}),
        Number(
            "How much of the store is free?",
            {"": _FREE_SHARE},
            "percentunit",
            warn=0.2,
            bad=0.1,
            value_texts={"1": "no size limit"},
        ),
        Graph(
            "How fast does the store fill and empty?",
            {"collected": rate("collected_bytes"), "removed": rate("cleanup_freed_bytes")},
            "Bps",
            span=12,
        ),
    ],
    "Does the cleanup keep up?": [
        Graph("How do cleanup runs end?", {"{{result}}": increase("cleanup_runs", "result")}, stacked=True),
        Graph(
            "Are expired artifacts removed?",
            {
                "due at the last run": gauge("cleanup_due"),
                "removed": increase("cleanup_removed"),
                "failed": increase("cleanup_failed"),
                "closed by their owners": gauge("cleanup_blocked"),
            },
        ),
        Number(
            "How long are the oldest artifacts overdue?",
            {"": gauge("cleanup_oldest_due_age_seconds")},
            "s",
            warn=86400,
            bad=172800,
        ),
        Number("How long did the last cleanup take?", {"": gauge("cleanup_last_run_seconds")}, "s"),
    ],
    "How does the API respond to users?": [
        Graph("How long do GraphQL requests take?", quantiles("graphql_seconds", 'operation!="refused"'), "s"),
        Graph("Which errors do users see?", {"{{code}}": increase("request_errors", "code")}, stacked=True),
        Graph(
            "How do downloads end?",
            {"{{kind}}: {{result}}": increase("downloads", "kind, result")},
            stacked=True,
        ),
        Graph("How much is downloaded?", {"sent": rate("download_bytes")}, "Bps", span=6),
        Graph("How many downloads are running?", {"downloads": gauge("downloads_active", "sum")}, span=6),
        Graph("How long does the store take?", quantiles("store_seconds"), "s", span=6),
        Graph(
            "Which store operations fail?",
            {"{{operation}}": increase("store_errors", "operation")},
            stacked=True,
            span=6,
        ),
    ],
    "What are sidecars doing?": [
        Graph(
            "Are jobs close to a limit?",
            {"highest use of {{limit}}": gauge("sidecar_limit_used_ratio", by="limit") + " or on() vector(0)"},
            "percentunit",
        ),
        Graph("How much do sidecars copy?", {"copied": rate("sidecar_copied_bytes") + " or vector(0)"}, "Bps"),
        Graph(
            "How many errors do sidecars get from the store?",
            {"errors": increase("sidecar_store_errors") + " or vector(0)"},
        ),
    ],
}

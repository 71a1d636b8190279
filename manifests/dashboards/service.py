"""The dashboard of whoever runs the service: is it healthy, what is being lost, how fast is it, how full."""

from manifests.dashboards.expressions import PREFIX, grown, now, quantiles, speed
from manifests.dashboards.panels import Graph, Number, Rows

_LOST = 'state=~"incomplete|unknown|not-injected"'
_DAY = "[24h]"
_LOST_SHARE = (
    f"sum(increase({PREFIX}results_total{{{_LOST}}}{_DAY})) / clamp_min(sum(increase({PREFIX}results_total{_DAY})), 1)"
)
_TRUSTED = f"min({PREFIX}webhook_certificate_expiry_timestamp_seconds) - time()"
_SINCE_CLEANUP = now("cleanup_last_success_timestamp_seconds")
_FREE_SHARE = (
    f"min({PREFIX}store_available_bytes / ({PREFIX}store_size_bytes > 0)) "
    f"or max({PREFIX}store_size_bytes) == bool 0"  # 1, where the store has no size
)

ROWS: Rows = {
    "Is it healthy?": [
        Number(
            "How many of each part are up?", {"{{part}}": f'count by (part) ({PREFIX}build_info{{part!="sidecar"}})'}
        ),
        Number("Does exactly one controller lead?", {"leaders": now("leader", "sum")}, exactly=1),
        Number("Is injection on?", {"": now("injection_off")}, bad=1, words={"0": "yes", "1": "switched off"}),
        Number("How old is what is known of the cluster?", {"": now("watch_age_seconds")}, "s", warn=120, bad=300),
        Number("For how long is the webhook trusted?", {"": _TRUSTED}, "dtdurations", warn=14 * 86400, bad=3 * 86400),
        Number(
            "When did the cleanup last succeed?",
            {"": f"({_SINCE_CLEANUP}) * 1000"},
            "dateTimeFromNow",
            words={"0": "not yet"},
        ),
    ],
    "What is being lost?": [
        Graph("What became of pods' artifacts?", {"{{state}}": grown("results", "state")}, stacked=True),
        Graph(
            "Why were artifacts lost?",
            {"{{state}}: {{reason}}": grown("results", "state, reason", 'state!~"sealed|empty"')},
            stacked=True,
        ),
        Graph("Which files are left out, and why?", {"{{reason}}": grown("skipped_files", "reason")}, stacked=True),
        Number(
            "Which share of pods lost artifacts in a day?",
            {"": _LOST_SHARE},
            "percentunit",
            warn=0.01,
            bad=0.05,
            span=8,
        ),
        Graph(
            "Why do pods get a sidecar, or none?", {"{{outcome}}": grown("webhook_requests", "outcome")}, stacked=True
        ),
        Graph(
            "Do limits and sidecars get in jobs' way?",
            {
                "a limit was passed": grown("over_limit"),
                "a sidecar did not start, or crashed": grown("sidecar_start_failures"),
            },
        ),
    ],
    "How fast is it?": [
        Graph("How long do users wait for the seal?", quantiles("lag_seconds"), "s"),
        Graph("How much of the grace period does the last sync take?", quantiles("grace_used_ratio"), "percentunit"),
        Graph("How long does the webhook take of its 3 seconds?", quantiles("webhook_seconds"), "s"),
        Graph("How long do PhJobs wait for the controller?", quantiles("queue_seconds"), "s"),
        Graph(
            "How much is to be done now?",
            {"PhJobs due": now("queue_depth", "sum"), "pods {{state}}": now("open_pods", by="state")},
        ),
        Graph("Does the API server answer?", {"failed: {{kind}}": grown("kubernetes_errors", "kind")}, stacked=True),
    ],
    "How full is it?": [
        Number("How much is kept?", {"": now("kept_bytes")}, "bytes"),
        Number("How many files?", {"": now("kept_files")}),
        Number(
            "How much of the store is free?",
            {"": _FREE_SHARE},
            "percentunit",
            warn=0.2,
            bad=0.1,
            words={"1": "all: it has no size"},
        ),
        Graph(
            "How fast does it fill, and empty?",
            {"collected": speed("collected_bytes"), "removed": speed("cleanup_freed_bytes")},
            "Bps",
            span=12,
        ),
    ],
    "Does the cleanup keep up?": [
        Graph("Does the cleanup succeed?", {"{{result}}": grown("cleanup_runs", "result")}, stacked=True),
        Graph(
            "Is what is due removed?",
            {
                "due at the last run": now("cleanup_due"),
                "removed": grown("cleanup_removed"),
                "failed": grown("cleanup_failed"),
            },
        ),
        Number(
            "How long is the oldest overdue?", {"": now("cleanup_oldest_due_age_seconds")}, "s", warn=86400, bad=172800
        ),
        Number("How long did the last run take?", {"": now("cleanup_last_run_seconds")}, "s"),
    ],
    "What do users see?": [
        Graph("How long do questions take?", quantiles("graphql_seconds", 'operation!="refused"'), "s"),
        Graph("Which errors do users see?", {"{{code}}": grown("request_errors", "code")}, stacked=True),
        Graph(
            "Do downloads come through?",
            {"{{kind}}: {{result}}": grown("downloads", "kind, result")},
            stacked=True,
        ),
        Graph("How much is downloaded?", {"sent": speed("download_bytes")}, "Bps", span=6),
        Graph("Are the slots for downloads used up?", {"downloads now": now("downloads_active", "sum")}, span=6),
        Graph("Is the store slow?", quantiles("store_seconds"), "s", span=6),
        Graph("Does the store fail?", {"{{operation}}": grown("store_errors", "operation")}, stacked=True, span=6),
    ],
    "What do sidecars do now?": [
        Graph(
            "Are jobs close to a limit?",
            {"fullest, of {{limit}}": now("sidecar_limit_used_ratio", by="limit") + " or on() vector(0)"},
            "percentunit",
        ),
        Graph("How much do sidecars copy?", {"copied": speed("sidecar_copied_bytes") + " or vector(0)"}, "Bps"),
        Graph("Do stores fail sidecars?", {"errors": grown("sidecar_store_errors") + " or vector(0)"}),
    ],
}

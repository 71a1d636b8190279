"""The reconciler's settings: documented defaults, and all problems at once."""

import pytest

from artifacts.errors import ConfigError
from controller.reconcile.settings import PREFIX, SETTINGS_TABLE, ReconcilerSettings


def test_documented_defaults() -> None:
    assert ReconcilerSettings.from_env({}) == ReconcilerSettings(
        namespace="",
        reconcile=True,
        listen=("0.0.0.0", 8081),
        workers=16,
        resync_seconds=300.0,
        lease="phjob-artifacts-controller",
        lease_seconds=15.0,
        certificate_secret="",
        webhook="phjob-artifacts",
        link_key_secret="",
        phfs_claim="phfs",
        default_image="",
        working_size="5Gi",
        main_cpu="",
        main_memory="",
        timezone="",
        preparing_seconds=180,
        active_deadline_seconds=86400,
        ttl_seconds=604800,
        collecting_seconds=900,
        trouble_seconds=30,
        start_seconds=120,
        breaker_failures=3,
        metrics_groups=0,
        log_format="text",
        sidecar_image="",
        collects=True,
    )


def test_all_problems_are_reported_at_once() -> None:
    invalid = {"PHJOB_CONTROLLER_WORKERS": "0", "PHJOB_CONTROLLER_MAIN_CPU": "fast", "PHJOB_ARTIFACT_ENABLED": "maybe"}
    with pytest.raises(ConfigError) as caught:
        ReconcilerSettings.from_env(invalid)
    assert [problem.partition("=")[0] for problem in caught.value.problems] == list(invalid)


def test_variables_start_with_the_prefix() -> None:
    others = {"PHJOB_SIDECAR_IMAGE", "PHJOB_ARTIFACT_ENABLED", "PHJOB_METRICS_GROUPS", "PHJOB_LOG_FORMAT"}
    assert {row.env for row in SETTINGS_TABLE if not row.env.startswith(PREFIX)} == others

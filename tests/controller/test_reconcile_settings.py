"""The reconciler's settings: promised defaults, and all problems at once."""

import pytest

from artifacts.errors import ConfigError
from controller.reconcile.settings import PREFIX, TABLE, Settings


def test_promised_defaults() -> None:
    assert Settings.from_env({}) == Settings(
        namespace="",
        reconcile=True,
        listen=("0.0.0.0", 8081),
        workers=4,
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
        collects=True,
    )


def test_all_problems_are_told_at_once() -> None:
    wrong = {"PHJOB_CONTROLLER_WORKERS": "0", "PHJOB_CONTROLLER_MAIN_CPU": "fast", "PHJOB_ARTIFACT_ENABLED": "maybe"}
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(wrong)
    assert [problem.partition("=")[0] for problem in caught.value.problems] == list(wrong)


def test_names_continue_the_parts() -> None:
    others = {"PHJOB_ARTIFACT_ENABLED", "PHJOB_METRICS_GROUPS", "PHJOB_LOG_FORMAT"}
    assert {row.env for row in TABLE if not row.env.startswith(PREFIX)} == others

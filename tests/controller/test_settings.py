"""The webhook's settings: documented defaults, and errors that report all problems at once."""

import dataclasses

import pytest

from artifacts.errors import ConfigError
from controller.settings import DEFAULTS_TABLE, SETTINGS_TABLE, WebhookSettings

IMAGE = {"PHJOB_SIDECAR_IMAGE": "registry.example/sidecar:1"}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        WebhookSettings.from_env(environ)
    return caught.value.problems


def test_documented_webhook_defaults() -> None:
    assert dataclasses.asdict(WebhookSettings.from_env(IMAGE)) == {
        "image": "registry.example/sidecar:1",
        "pull_policy": "IfNotPresent",
        "cpu_request": "10m",
        "cpu_limit": "",
        "memory_request": "32Mi",
        "memory_limit": "256Mi",
        "guaranteed_cpu": "200m",
        "nonroot_uid": 65532,
        "grace_seconds": 60,
        "max_grace_seconds": 600,
        "max_limit_size_mb": 10240,
        "max_limit_files": 100000,
        "max_retention_seconds": 31536000,
        "webhook_listen": ("0.0.0.0", 8443),
        "webhook_certificates": "/etc/phjob-artifacts/tls",
        "webhook_threads": 64,
        "defaults": {},
    }


def test_sidecar_settings_become_defaults_except_those_computed_per_pod() -> None:
    environ = IMAGE | {
        "PHJOB_ARTIFACT_QUIET_SECONDS": " 5 ",
        "PHJOB_ARTIFACT_ROOT": "/x",
        "PHJOB_ARTIFACT_POD_UID": "u",
    }
    assert WebhookSettings.from_env(environ).defaults == {"PHJOB_ARTIFACT_QUIET_SECONDS": "5"}


def test_setting_names_are_unique() -> None:
    names = [row.env for row in (*SETTINGS_TABLE, *DEFAULTS_TABLE)]
    assert len(set(names)) == len(names)


def test_all_problems_are_reported_at_once() -> None:
    messages = problems(
        {
            "PHJOB_SIDECAR_CPU_REQUEST": "much",
            "PHJOB_SIDECAR_MEMORY_LIMIT": "0",
            "PHJOB_ARTIFACT_LIMIT_FILES": "many",
            "PHJOB_WEBHOOK_LISTEN": "8443",
        }
    )
    assert [message.partition("=")[0].partition(" ")[0] for message in messages] == [
        "PHJOB_ARTIFACT_LIMIT_FILES",
        "PHJOB_SIDECAR_IMAGE",
        "PHJOB_SIDECAR_CPU_REQUEST",
        "PHJOB_SIDECAR_MEMORY_LIMIT",
        "PHJOB_WEBHOOK_LISTEN",
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PHJOB_SIDECAR_CPU_LIMIT": "5m"}, "PHJOB_SIDECAR_CPU_REQUEST=10m"),
        ({"PHJOB_SIDECAR_MEMORY_REQUEST": "1Gi"}, "PHJOB_SIDECAR_MEMORY_LIMIT=256Mi"),
        ({"PHJOB_ARTIFACT_GRACE_SECONDS": "601"}, "PHJOB_ARTIFACT_MAX_GRACE_SECONDS"),
    ],
)
def test_contradictory_settings_are_reported(environ: dict[str, str], expected: str) -> None:
    (problem,) = problems(IMAGE | environ)
    assert expected in problem

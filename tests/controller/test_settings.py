"""The controller's settings: the promised defaults, and every problem at once."""

import dataclasses

import pytest

from artifacts.errors import ConfigError
from controller.settings import DEFAULTS_TABLE, TABLE, Settings

IMAGE = {"PHJOB_SIDECAR_IMAGE": "registry.example/sidecar:1"}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environ)
    return caught.value.problems


def test_the_promised_defaults_hold() -> None:
    assert dataclasses.asdict(Settings.from_env(IMAGE)) == {
        "image": "registry.example/sidecar:1",
        "pull_policy": "IfNotPresent",
        "cpu_request": "10m",
        "cpu_limit": "",
        "memory_request": "32Mi",
        "memory_limit": "256Mi",
        "guaranteed_cpu": "200m",
        "nonroot_uid": 65532,
        "grace_seconds": 120,
        "max_grace_seconds": 600,
        "max_limit_size_mb": 10240,
        "max_limit_files": 100000,
        "max_retention_seconds": 31536000,
        "webhook_listen": ("0.0.0.0", 8443),
        "webhook_certificates": "/etc/phjob-artifacts/tls",
        "webhook_threads": 64,
        "defaults": {},
    }


def test_the_sidecars_own_settings_become_defaults_but_for_those_that_a_pod_decides() -> None:
    environ = IMAGE | {
        "PHJOB_ARTIFACT_QUIET_SECONDS": " 5 ",
        "PHJOB_ARTIFACT_ROOT": "/x",
        "PHJOB_ARTIFACT_POD_UID": "u",
    }
    assert Settings.from_env(environ).defaults == {"PHJOB_ARTIFACT_QUIET_SECONDS": "5"}


def test_no_two_settings_have_one_name() -> None:
    names = [row.env for row in (*TABLE, *DEFAULTS_TABLE)]
    assert len(set(names)) == len(names)


def test_all_problems_are_told_at_once() -> None:
    said = problems(
        {
            "PHJOB_SIDECAR_CPU_REQUEST": "much",
            "PHJOB_SIDECAR_MEMORY_LIMIT": "0",
            "PHJOB_ARTIFACT_LIMIT_FILES": "many",
            "PHJOB_WEBHOOK_LISTEN": "8443",
        }
    )
    assert [each.partition("=")[0].partition(" ")[0] for each in said] == [
        "PHJOB_ARTIFACT_LIMIT_FILES",
        "PHJOB_SIDECAR_IMAGE",
        "PHJOB_SIDECAR_CPU_REQUEST",
        "PHJOB_SIDECAR_MEMORY_LIMIT",
        "PHJOB_WEBHOOK_LISTEN",
    ]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"PHJOB_SIDECAR_CPU_LIMIT": "5m"}, "PHJOB_SIDECAR_CPU_REQUEST=10m"),
        ({"PHJOB_SIDECAR_MEMORY_REQUEST": "1Gi"}, "PHJOB_SIDECAR_MEMORY_LIMIT=256Mi"),
        ({"PHJOB_ARTIFACT_GRACE_SECONDS": "601"}, "PHJOB_ARTIFACT_MAX_GRACE_SECONDS"),
    ],
)
def test_settings_that_do_not_go_together_are_told(environ: dict[str, str], named: str) -> None:
    (problem,) = problems(IMAGE | environ)
    assert named in problem

"""SidecarSettings: defaults of the contract, all problems reported together, hostile values refused."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.environment import Setting
from artifacts.errors import ConfigError
from artifacts.settings import MAX_GLOBS, MIB, PREFIX, SETTINGS_TABLE, SidecarSettings, unknown_settings

JOB = {"PHJOB_NAME": "job-1"}
DEFAULTS = {
    "job": "job-1",
    "group": "",
    "enabled": True,
    "limit_size_mb": 100,
    "limit_files": 1000,
    "over_limit": "reject",
    "links": "follow",
    "retention_seconds": 604800,
    "include": (),
    "exclude": (),
    "digest": "sha256",
    "sync_seconds": 10.0,
    "quiet_seconds": 2.0,
    "grace_seconds": 30.0,
    "linger_seconds": 6.0,
    "linger_files_per_second": 100,
    "linger_mb_per_second": 20,
    "path": "/home/jovyan/artifacts",
    "root": "/job",
    "volumes": (),
    "hidden_paths": (),
    "private_volumes": (),
    "main_uid": None,
    "main_gid": None,
    "phfs": "/phfs",
    "store": "/phfs",
    "file_mode": 0o644,
    "folder_mode": 0o777,
    "metrics_listen": ("", 19464),
    "termination_log": "/dev/termination-log",
    "main_status": "",
    "pod_uid": "",
    "log_level": "info",
    "log_format": "text",
}


def parse(**values: str) -> SidecarSettings:
    return SidecarSettings.from_env(JOB | {f"{PREFIX}{name.upper()}": text for name, text in values.items()})


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        SidecarSettings.from_env(environ)
    return caught.value.problems


def test_defaults_match_the_contract() -> None:
    assert dataclasses.asdict(SidecarSettings.from_env(JOB)) == DEFAULTS


def test_mb_is_1024_times_1024_bytes() -> None:
    parsed = parse(limit_size_mb="3", linger_mb_per_second="2")
    assert (parsed.limit_size_bytes, parsed.linger_bytes_per_second) == (3 * MIB, 2 * MIB)
    assert MIB == 1048576


def test_table_and_dataclass_have_the_same_fields_in_the_same_order() -> None:
    assert [row.field for row in SETTINGS_TABLE] == [field.name for field in dataclasses.fields(SidecarSettings)]
    assert len({row.env for row in SETTINGS_TABLE}) == len(SETTINGS_TABLE)


@pytest.mark.parametrize("row", SETTINGS_TABLE, ids=lambda row: row.env)
def test_every_setting_has_a_description_and_a_valid_default(row: Setting) -> None:
    assert row.help
    assert row.env.startswith(("PHJOB_", "PRIMEHUB_"))
    assert row.default is None or dataclasses.asdict(parse())[row.field] == row.parse(row.default)


def test_all_problems_are_reported_together_by_name() -> None:
    environ = {
        "PHJOB_NAME": "../x",
        "PRIMEHUB_GROUP": "a/b",
        "PHJOB_ARTIFACT_ENABLED": "maybe",
        "PHJOB_ARTIFACT_LIMIT_FILES": "many",
        "PHJOB_ARTIFACT_STORE": "phfs",
    }
    reported = problems(environ)
    assert [problem.partition("=")[0] for problem in reported] == list(environ)
    assert problems({}) == ["PHJOB_NAME is not set: name of the PhJob and of its job folder"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("limit_size_mb", ["-1", "nan", "inf", "1.5", "", "1e3", "0x10", str(2**40 + 1), "9" * 5000]),
        ("limit_files", ["-1", "nan", "-inf", "1e9", "1000000001"]),
        ("retention_seconds", ["0", "-5", "inf", "99999999999999999999", "7d"]),
        ("sync_seconds", ["0", "-1", "nan", "inf", "-inf", "1e999", "86401"]),
        ("quiet_seconds", ["-0.1", "nan", "inf", "3601"]),
        ("grace_seconds", ["-1", "nan", "inf"]),
        ("linger_seconds", ["-1", "nan", "1e999"]),
        ("linger_files_per_second", ["0", "-1", "1e6"]),
        ("linger_mb_per_second", ["0"]),
        ("over_limit", ["", "Keep", "drop"]),
        ("links", ["", "true", "Skip"]),
        ("digest", ["md5", "SHA256"]),
        ("enabled", ["", "1", "yes", "truefalse"]),
        ("path", ["", "artifacts", "~/x", "/a/../b", "/.."]),
        ("volumes", ["a", "/a:b", "/a:/b/../c"]),
        ("file_mode", ["", "0888", "-644", "0o644", "00644", "rw", "٠٦٤٤"]),
        ("metrics_listen", ["x", ":", ":0", ":65536", ":-1", "host:"]),
        ("log_level", ["INFO", "trace"]),
        ("include", [",".join(["x"] * (MAX_GLOBS + 1)), "x" * 257]),
    ],
)
def test_invalid_values_are_refused(name: str, texts: list[str]) -> None:
    for text in texts:
        reported = problems(JOB | {f"{PREFIX}{name.upper()}": text})
        assert len(reported) == 1
        assert reported[0].startswith(f"{PREFIX}{name.upper()}=")
        assert len(reported[0]) < 400


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("limit_files", " 0 ", 0),
        ("limit_size_mb", "0", 0),
        ("sync_seconds", "0.5", 0.5),
        ("enabled", "False", False),
        ("enabled", "TRUE", True),
        ("over_limit", "keep", "keep"),
        ("links", "skip", "skip"),
        ("include", " *.pt , logs/**\n\n a b ,", ("*.pt", "logs/**", "a b")),
        ("path", "/a/b/", "/a/b"),
        ("path", "//a//b/./c/", "/a/b/c"),
        ("root", "/", "/"),
        ("volumes", "/home/jovyan/:/project//x:", ("/home/jovyan", "/project/x")),
        ("file_mode", "0600", 0o600),
        ("folder_mode", "755", 0o755),
        ("metrics_listen", "", None),
        ("metrics_listen", "127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("main_status", "/run/main.json", "/run/main.json"),
        ("pod_uid", "3f0c", "3f0c"),
    ],
)
def test_valid_values_are_parsed(name: str, text: str, value: object) -> None:
    assert getattr(parse(**{name: text}), name) == value


def test_group_name_is_unchanged() -> None:
    assert SidecarSettings.from_env(JOB | {"PRIMEHUB_GROUP": "My_Group"}).group == "My_Group"


def test_unknown_names_with_the_prefix_are_reported() -> None:
    environ = {row.env: "" for row in SETTINGS_TABLE} | {
        "PHJOB_ARTIFACT_LIMIT_FILE": "1",
        "PHJOB_ARTIFACT_": "",
        "PHJOB_OTHER": "",
        "HOME": "/",
    }
    assert unknown_settings(environ) == ["PHJOB_ARTIFACT_", "PHJOB_ARTIFACT_LIMIT_FILE"]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(SETTINGS_TABLE), st.text(max_size=20) | st.sampled_from(["nan", "-inf", "/", ":", ",", "1" * 400])
)
def test_any_text_is_parsed_or_raises_config_error(row: Setting, text: str) -> None:
    try:
        parsed = SidecarSettings.from_env(JOB | {row.env: text})
    except ConfigError:
        return
    for name in ("path", "root", "phfs", "store", "termination_log"):
        assert getattr(parsed, name).startswith("/")
    assert 0.1 <= parsed.sync_seconds <= 86400
    assert 0 <= parsed.limit_size_bytes < 2**63

"""Secret settings: read from a variable or a file, and never shown."""

from pathlib import Path

import pytest

from artifacts.environment import Setting, configured_settings, number, read_settings
from artifacts.errors import ConfigError

KEY = Setting("key", "APP_KEY", "", lambda text: number(1, 9)(text) if text else 0, "a key", secret=True)


def test_secret_is_read_from_its_variable_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("7\n")
    assert read_settings([KEY], {}) == {"key": 0}
    assert read_settings([KEY], {"APP_KEY": "5"}) == {"key": 5}
    assert read_settings([KEY], {"APP_KEY_FILE": str(file)}) == {"key": 7}


def test_invalid_secret_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("hunter2")
    for environ in ({"APP_KEY": "hunter2"}, {"APP_KEY_FILE": str(file)}):
        with pytest.raises(ConfigError, match=r"^APP_KEY: use a whole number from 1 to 9$"):
            read_settings([KEY], environ)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"APP_KEY": "5", "APP_KEY_FILE": "/x"}, "APP_KEY: APP_KEY_FILE is set too: use one of them"),
        ({"APP_KEY_FILE": "/no/such/file"}, "APP_KEY: cannot read /no/such/file: No such file or directory"),
    ],
)
def test_unusable_secret_file_is_reported(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_settings([KEY], environ)
    assert error.value.problems == [problem]


def test_configured_settings_are_listed_without_secrets() -> None:
    table = [Setting(name.lower(), name, "", str, "", secret=name in "CD") for name in "ABCDE"]
    environ = {"A": " plain ", "C": "hunter2", "D_FILE": "/run/key", "A_FILE": "no setting", "X": "another's"}
    assert list(configured_settings(table, environ)) == [("A", "plain"), ("C", "***"), ("D", "***")]

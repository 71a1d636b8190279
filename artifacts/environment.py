"""Settings from environment variables: rows of a table, each with a variable, a default, a parser and a description.

All parts define their settings as such tables. All problems are reported together, in one ConfigError.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.errors import ArtifactError, ConfigError

_MAX_SECRET_CHARS = 64 * 1024


@dataclass(frozen=True)
class Setting:
    """A setting: `field` of the settings object, environment variable, default (None: required), parser, description.

    The value of a `secret` is never shown, and the variable `<env>_FILE` can name a file that contains it.
    """

    field: str
    env: str
    default: str | None
    parse: Callable[[str], Any]
    help: str
    secret: bool = False


def read_settings(table: Iterable[Setting], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of all settings by field.

    Raises:
        ConfigError: with all problems, if any value is missing or invalid.
    """
    values: dict[str, Any] = {}
    problems = []
    for row in table:
        try:
            text = _text(row, environ)
            if text is None:
                problems.append(f"{row.env} is not set: {row.help}")
                continue
            values[row.field] = row.parse(text.strip())
        except (ValueError, ArtifactError) as error:
            problems.append(
                f"{row.env}: {error}" if row.secret else f"{row.env}={environ.get(row.env, '')[:80]!r}: {error}"
            )
    if problems:
        raise ConfigError(problems)
    return values


def configured_settings(table: Iterable[Setting], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each setting that is set, for the log. The text of a secret is `***`."""
    for row in table:
        if row.env in environ or (row.secret and row.env + "_FILE" in environ):
            yield row.env, "***" if row.secret else environ[row.env].strip()


def choice(*words: str) -> Callable[[str], str]:
    """Return a parser that accepts one of `words`."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"use one of: {', '.join(words)}")
        return text

    return parse


def number(low: float, high: float, of: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """Return a parser that accepts a number of type `of` (int or float) from `low` to `high`."""

    def parse(text: str) -> Any:
        try:
            value = of(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"use {'a whole number' if of is int else 'a number'} from {low} to {high}")
        return value

    return parse


def flag(text: str) -> bool:
    """Parse "true" or "false", in any case."""
    if text.lower() not in ("true", "false"):
        raise ValueError("use true or false")
    return text.lower() == "true"


def listen(text: str) -> tuple[str, int] | None:
    """Parse host:port. Returns None for an empty text."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    return host, number(1, 65535)(port)


def words(text: str) -> tuple[str, ...]:
    """Parse words separated by commas or newlines."""
    return tuple(part.strip() for part in text.replace("\n", ",").split(",") if part.strip())


def _text(row: Setting, environ: Mapping[str, str]) -> str | None:
    """Return the variable's text, or a secret's from its file.

    Raises:
        ValueError: both the variable and the file's variable are set, or the file cannot be read.
    """
    if not row.secret or not (path := environ.get(row.env + "_FILE")):
        return environ.get(row.env, row.default)
    if row.env in environ:
        raise ValueError(f"{row.env}_FILE is set too: use one of them")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_MAX_SECRET_CHARS)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error

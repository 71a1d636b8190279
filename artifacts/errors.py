"""The errors that the product raises itself, as a tree.

    ArtifactError
    ├── ConfigError        settings are missing or invalid; carries all problems
    ├── InvalidName        a job name, group name or path is not valid; carries the reason
    ├── InvalidDocument    a metadata file cannot be parsed (users can write to it)
    └── StoreError         an operation on the shared store failed; carries the operating system's error
        └── StoreConflict  something that the collector did not write occupies the path of a folder or copy

Each part translates them for its own interface: exit code, reason in the report, HTTP status.
"""

MAX_PATH_CHARACTERS = 400  # of a path in a message: the longest job folder has 337


class ArtifactError(Exception):
    """The base of all errors that the product raises itself."""


class ConfigError(ArtifactError):
    """Settings are missing or invalid. `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidName(ArtifactError):
    """`value` is not valid as the name of a `kind` ("job", "group", "path")."""

    def __init__(self, kind: str, value: str, reason: str) -> None:
        super().__init__(f"{value[:80]!r} is not a valid {kind} name: {reason}")
        self.kind, self.value, self.reason = kind, value, reason


class InvalidDocument(ArtifactError):
    """A metadata file, `document`, cannot be parsed."""

    def __init__(self, document: str, reason: str) -> None:
        super().__init__(f"{document}: {reason}")
        self.document, self.reason = document, reason


class StoreError(ArtifactError):
    """The operation `action` on `path` in the store failed; `cause` is the operating system's error."""

    def __init__(self, action: str, path: str, cause: OSError) -> None:
        super().__init__(f"cannot {action} {_shorten(path)!r} in the store: {cause.strerror or cause}")
        self.action, self.path, self.cause = action, path, cause


class StoreConflict(StoreError):
    """Something that the collector did not write occupies the path that it must write to."""


def _shorten(path: str) -> str:
    """Shorten a path for a message: users choose its length."""
    return path if len(path) <= MAX_PATH_CHARACTERS else f"{path[:MAX_PATH_CHARACTERS]}..."

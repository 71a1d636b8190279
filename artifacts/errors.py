"""Every error the product raises on purpose, drawn as a tree.

    ArtifactError
    ├── ConfigError        settings that cannot be used; carries every problem found
    ├── InvalidName        a job, group or path that may not be one; says which and why
    ├── InvalidDocument    a metadata file that is not what it should be (it is user-writable)
    └── StoreError         the shared store did not do what was asked; carries the operating system's error
        └── StoreConflict  something that is not ours stands where a folder or copy must go

Each part maps these to its own surface (exit code, report reason, HTTP status).
"""


class ArtifactError(Exception):
    """The root: whatever the product itself found wrong."""


class ConfigError(ArtifactError):
    """Settings that cannot be used. `problems` holds one sentence each, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidName(ArtifactError):
    """`value` may not be a `kind` ("job", "group", "path"), because of `reason`."""

    def __init__(self, kind: str, value: str, reason: str) -> None:
        super().__init__(f"{value[:80]!r} is no valid {kind} name: {reason}")
        self.kind, self.value, self.reason = kind, value, reason


class InvalidDocument(ArtifactError):
    """A metadata file (`document`) that cannot be read as one."""

    def __init__(self, document: str, reason: str) -> None:
        super().__init__(f"{document}: {reason}")
        self.document, self.reason = document, reason


class StoreError(ArtifactError):
    """The store failed while doing `action` on `path`; `cause` is the operating system's error."""

    def __init__(self, action: str, path: str, cause: OSError) -> None:
        super().__init__(f"cannot {action} {path!r} in the store: {cause.strerror or cause}")
        self.action, self.path, self.cause = action, path, cause


class StoreConflict(StoreError):
    """Something that the collector did not write stands where it must write."""

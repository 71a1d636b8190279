"""Requirements of tests on the machine: FUSE, root, a newer kernel.

If a requirement is not met, the test is skipped on a developer's machine, but fails in CI, which must run everything.
Tests must not skip by other means.
"""

import os

import pytest


def require(condition: object, need: str) -> None:
    """Skip the calling test, or fail it in CI, if `condition` is false. `need` names the requirement."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have: {need}", pytrace=False)
    pytest.skip(f"this machine lacks: {need}")

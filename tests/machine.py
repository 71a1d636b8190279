"""What a test needs from the machine it runs on: FUSE, root, a newer kernel.

Apart, so that there is one answer to a machine that lacks it: a skip where people work, a failure in CI,
which is to prove everything. A test that skips by other means escapes that.
"""

import os

import pytest


def require(condition: object, need: str) -> None:
    """Go on if `condition` holds; otherwise skip the calling test, or fail it in CI, for want of `need`."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have: {need}", pytrace=False)
    pytest.skip(f"this machine lacks: {need}")

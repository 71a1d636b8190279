"""Names for new jobs, such as PrimeHub gives."""

import secrets
import string
import time

_LETTERS = string.digits + string.ascii_lowercase


def new_name(now: float | None = None) -> str:
    """A name such as job-202009250153-34s0ti, of the time `now` (UNIX seconds; None: this moment)."""
    random = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return time.strftime(f"job-%Y%m%d%H%M-{random}", time.gmtime(now))

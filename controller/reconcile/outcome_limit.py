"""Limits how many outcomes of a PhJob are reported and counted.

Whether an outcome is new is read from the PhJob's status or annotation, which users with the right to patch it can
rewrite at will, each time with the UID of another pod.
"""

MAX_OUTCOMES = 10  # a PhJob has one outcome per pod, and rarely more than two pods


class OutcomeLimit:
    """Counts the outcomes of each PhJob, by key, until the PhJob is gone. Not shared between replicas."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, key: str) -> bool:
        """Count an outcome. Returns False if the PhJob has had too many."""
        count = self._counts.get(key, 0)
        if count >= MAX_OUTCOMES:
            return False
        self._counts[key] = count + 1
        return True

    def forget(self, key: str) -> None:
        """Forget a PhJob that is gone."""
        self._counts.pop(key, None)

"""What a run does, and what stops it. Pure."""

from api.cleanup.cleaner import Candidate
from api.retention.expiry import SKEW_SECONDS
from api.retention.term import Term


def candidate(group: str, job: str, term: Term, now: float) -> Candidate:
    """A job folder that was looked at."""
    return Candidate(group, job, term.has_expired(now), term.expires_at, term.why)


def refusal(due: int, looked_at: int, share: float, floor: int) -> str:
    """Why a run that would remove `due` of `looked_at` jobs stops, or "": a wrong clock, a lost setting or a store
    half mounted would make it remove too much, and nothing brings it back."""
    if due <= floor or due <= share * looked_at:
        return ""
    return (
        f"{due} of {looked_at} jobs are due, more than {floor} and more than {share:.0%} of all: "
        "look at the plan, and clean with force if it is right"
    )


def clock_problem(here: float, store: float) -> str:
    """Why the clocks of this machine and of the store forbid a run, or ""."""
    seconds = here - store
    if abs(seconds) <= SKEW_SECONDS:
        return ""
    return (
        f"this machine's clock is {abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'} the store's: "
        "set the one that is wrong, or clean with force"
    )

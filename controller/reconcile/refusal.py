"""What it means when the API server refuses a pod. Told by its words alone, as it gives no code. Pure."""

from kube import errors

QUOTA = "quota"  # it would be too much now; later it may be not
NO_RIGHT = "no-right"  # this controller may not, or the namespace is going: nothing about the job
REFUSED = "refused"  # such a pod may not be

_QUOTA_WORDS = ("exceeded quota:", "resources-validation-webhook")  # the second is PrimeHub's admission
_OUR_WORDS = ('cannot create resource "pods"', "being terminated")


def judge(error: errors.Refused) -> str:
    """QUOTA, NO_RIGHT or REFUSED."""
    if any(words in error.message for words in _QUOTA_WORDS):
        return QUOTA
    if any(words in error.message for words in _OUR_WORDS):
        return NO_RIGHT
    return REFUSED

"""What it means when the API server refuses a pod. Told by its words alone, as it gives no code. Pure."""

from kube import errors

QUOTA = "quota"  # it would be too much now; later it may be not
NO_RIGHT = "no-right"  # this controller may not, or the namespace is going: nothing about the job
REFUSED = "refused"  # such a pod may not be

# The second: one so new that its use has not been counted. The third: PrimeHub's admission.
_QUOTA_WORDS = ("exceeded quota:", "status unknown for quota:", "resources-validation-webhook")
_OUR_WORDS = ('cannot create resource "pods"', "being terminated")


def judge(error: errors.StatusError) -> str:
    """QUOTA, NO_RIGHT or REFUSED."""
    if any(words in error.message for words in _QUOTA_WORDS):
        return QUOTA
    if any(words in error.message for words in _OUR_WORDS):
        return NO_RIGHT
    return REFUSED

"""Parses AdmissionReview v1 requests and builds the responses."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_API_VERSION, _KIND = "admission.k8s.io/v1", "AdmissionReview"
_MAX_UID_CHARACTERS = 256
# The API server truncates longer warnings, even in the middle of a word.
_MAX_WARNINGS, _MAX_WARNING_CHARACTERS = 8, 240


class InvalidReview(Exception):
    """The request is not a valid AdmissionReview; the message says why."""


@dataclass(frozen=True)
class AdmissionRequest:
    """The request in a review. `pod` is None if the request does not create a pod."""

    uid: str
    pod: dict[str, Any] | None


def parse_review(content: bytes) -> AdmissionRequest:
    """Parse the body of a request.

    Raises:
        InvalidReview: the body is not an AdmissionReview v1.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidReview("the body is not valid JSON") from error
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (_API_VERSION, _KIND):
        raise InvalidReview(f"the body is not an {_KIND} of {_API_VERSION}")
    request = document.get("request")
    uid = request.get("uid") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(uid, str) or not 0 < len(uid) <= _MAX_UID_CHARACTERS:
        raise InvalidReview("the review has no request with a uid")
    return AdmissionRequest(uid, _created_pod(request))


def _created_pod(request: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, pod = request.get("kind"), request.get("object")
    is_for_pods = isinstance(kind, dict) and (kind.get("group"), kind.get("kind")) == ("", "Pod")
    if not is_for_pods or request.get("operation") != "CREATE" or request.get("subResource"):
        return None
    return pod if isinstance(pod, dict) else None


def allow(uid: str, patch: Sequence[Mapping[str, Any]] = (), warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the review that allows the request, with a patch and warnings. The webhook never denies a request."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(list(patch)).encode()).decode()
    if warnings:
        response["warnings"] = [_shorten(warning) for warning in warnings[:_MAX_WARNINGS]]
    return {"apiVersion": _API_VERSION, "kind": _KIND, "response": response}


def _shorten(warning: str) -> str:
    return warning if len(warning) <= _MAX_WARNING_CHARACTERS else warning[: _MAX_WARNING_CHARACTERS - 3] + "..."

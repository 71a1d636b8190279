"""AdmissionReview v1, in and out. The only place where an answer is built."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_API_VERSION, _KIND = "admission.k8s.io/v1", "AdmissionReview"
_MOST_UID = 256
# The API server cuts warnings itself, at 256 bytes each and 4096 in all, in the middle of a word.
_MOST_WARNINGS, _MOST_WARNING = 8, 240


class BadReview(Exception):
    """What was sent is no AdmissionReview; says what is wrong."""


@dataclass(frozen=True)
class Request:
    """A review's request. `pod` is None where it is not the creation of a pod."""

    uid: str
    pod: dict[str, Any] | None


def read_review(content: bytes) -> Request:
    """Raises BadReview."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadReview("the body is no JSON") from error
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (_API_VERSION, _KIND):
        raise BadReview(f"the body is no {_KIND} of {_API_VERSION}")
    request = document.get("request")
    uid = request.get("uid") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(uid, str) or not 0 < len(uid) <= _MOST_UID:
        raise BadReview("the review has no request with a uid")
    return Request(uid, _created_pod(request))


def _created_pod(request: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, pod = request.get("kind"), request.get("object")
    of_pods = isinstance(kind, dict) and (kind.get("group"), kind.get("kind")) == ("", "Pod")
    if not of_pods or request.get("operation") != "CREATE" or request.get("subResource"):
        return None
    return pod if isinstance(pod, dict) else None


def answer(uid: str, patch: Sequence[Mapping[str, Any]] = (), warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The review that lets the request pass, with what is to be changed. Nothing is ever refused."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(list(patch)).encode()).decode()
    if warnings:
        response["warnings"] = [_shortened(warning) for warning in warnings[:_MOST_WARNINGS]]
    return {"apiVersion": _API_VERSION, "kind": _KIND, "response": response}


def _shortened(warning: str) -> str:
    return warning if len(warning) <= _MOST_WARNING else warning[: _MOST_WARNING - 3] + "..."

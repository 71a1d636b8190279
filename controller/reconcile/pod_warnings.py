"""Reads the kubelet's latest Warning about a pod that does not start. Many reasons are only in its Events."""

from collections import OrderedDict
from typing import Any

from artifacts.log import get_logger
from controller.documents import mapping_field, printable, text_field
from controller.reconcile.pod import Pod
from controller.reconcile.status_plan import WARNING_CHECK_SECONDS
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)

_MAX_EVENTS = 50
_MAX_PODS = 1024
_MAX_MESSAGE_CHARACTERS = 512


class PodWarnings:
    """Reads Events at most once in 30 s for each pod, however often users change its PhJob."""

    def __init__(self, events: ResourceClient) -> None:
        self._events = events
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()  # time of the request, and message, by UID

    def latest(self, pod: Pod, now: float) -> str:
        """Return the latest Warning, or ""."""
        asked_at, message = self._known.get(pod.uid, (0.0, ""))
        if not asked_at <= now < asked_at + WARNING_CHECK_SECONDS:
            message = self._read(pod)
            self._known[pod.uid] = (now, message)
            if len(self._known) > _MAX_PODS:
                self._known.popitem(last=False)
        return message

    def _read(self, pod: Pod) -> str:
        selectors = {"fieldSelector": f"involvedObject.uid={pod.uid},type=Warning"}
        try:
            page = next(self._events.pages(selectors, _MAX_EVENTS))
        except errors.KubeError as error:
            logger.warning("cannot read the pod's events", pod=pod.name, error=error)
            return ""
        warnings = [event for event in page.items if _is_of_kubelet(event)]
        latest: dict[str, Any] = max(warnings, key=lambda event: text_field(event, "lastTimestamp", 64), default={})
        parts = [text_field(latest, "reason", 64), text_field(latest, "message", _MAX_MESSAGE_CHARACTERS)]
        return printable(": ".join(filter(None, parts)))


def _is_of_kubelet(event: Any) -> bool:
    return isinstance(event, dict) and text_field(mapping_field(event, "source"), "component") == "kubelet"

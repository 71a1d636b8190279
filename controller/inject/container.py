"""The sidecar's container, from what was decided about its mounts, its user, its resources and its settings."""

from collections.abc import Mapping
from typing import Any

from artifacts.environment import listen
from artifacts.settings import PREFIX
from controller.inject.identity import security_context
from controller.inject.mounts import HOME, PHFS, ROOT, STORE, Mounts
from controller.inject.pod import SIDECAR, Document
from controller.inject.resources import sidecar_resources
from controller.inject.wishes import ROWS, Wishes
from controller.settings import Settings

PORT_NAME = "phjob-artifacts"  # 15 characters, the most that a port's name may have
_TERMINATION_LOG = "/dev/termination-log"
_LISTEN = PREFIX + "METRICS_LISTEN"
_MOST_GRACE = 86400  # of what the sidecar takes
# PID 1 loses a signal that comes while Python starts, unless it is blocked before.
_COMMAND = ["env", "--block-signal=TERM,USR1", "python3", "-m", "sidecar"]
_KICK = "kill -USR1 1"
# Where processes are shared, PID 1 is another's, of the node even: ours is the one that has our mounts.
_KICK_SHARED = (
    'for each in /proc/[0-9]*; do if [ "$each/ns/mnt" -ef /proc/self/ns/mnt ] && read name < "$each/comm" '
    '&& [ "$name" = python3 ]; then kill -USR1 "${each#/proc/}"; fi; done'
)


def make_container(
    spec: Mapping[str, Any], main: Mapping[str, Any], mounts: Mounts, wishes: Wishes, settings: Settings
) -> Document:
    """An init container that is restarted always: Kubernetes starts it before main, and ends it after main."""
    shares_processes = spec.get("shareProcessNamespace") or spec.get("hostPID")
    listens = _listen(spec, wishes)
    kick = ["/bin/sh", "-c", _KICK_SHARED if shares_processes else _KICK]
    container: Document = {
        "name": SIDECAR,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "restartPolicy": "Always",
        "command": list(_COMMAND),
        "env": _env(mounts, wishes, listens),
        "resources": sidecar_resources(spec, settings),
        "securityContext": security_context(spec, main, settings.nonroot_uid),
        "lifecycle": {"preStop": {"exec": {"command": kick}}},
        "terminationMessagePath": _TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts.mounts,
    }
    if address := listen(listens):
        container["ports"] = [{"name": PORT_NAME, "containerPort": address[1], "protocol": "TCP"}]
    return container


def _listen(spec: Mapping[str, Any], wishes: Wishes) -> str:
    """Where metrics are served: not on the node's own network, where only one pod could have the port."""
    if spec.get("hostNetwork"):
        return ""
    return wishes.variables.get(_LISTEN, ROWS["metrics_listen"].default or "")


def _env(mounts: Mounts, wishes: Wishes, listens: str) -> list[Document]:
    told = wishes.variables | {
        "PRIMEHUB_GROUP": mounts.group,
        PREFIX + "GRACE_SECONDS": str(max(1, min(wishes.grace_seconds, _MOST_GRACE))),
        PREFIX + "PATH": f"{HOME}/artifacts",
        PREFIX + "ROOT": ROOT,
        PREFIX + "VOLUMES": ":".join(mounts.volumes),
        PREFIX + "HIDDEN_PATHS": ":".join(mounts.hidden),
        PREFIX + "PHFS": PHFS,
        PREFIX + "STORE": STORE,
        PREFIX + "TERMINATION_LOG": _TERMINATION_LOG,
        _LISTEN: listens,
    }
    env = [_variable("PHJOB_NAME", wishes.job) if wishes.job else _from_pod("PHJOB_NAME", "metadata.name")]
    env += [_variable(name, told[name]) for name in sorted(told)]
    return [*env, _from_pod(PREFIX + "POD_UID", "metadata.uid")]


def _variable(name: str, value: str) -> Document:
    return {"name": name, "value": value.replace("$", "$$")}  # $(NAME) would be another variable's value


def _from_pod(name: str, field: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}

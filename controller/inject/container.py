"""Builds the sidecar's container from its mounts, options, user and resources."""

from collections.abc import Mapping
from typing import Any

from artifacts.environment import listen
from artifacts.settings import PREFIX
from controller.inject.identity import main_ids, security_context
from controller.inject.mounts import HOME, PHFS, ROOT, STORE, MountPlan
from controller.inject.pod import SIDECAR, Document
from controller.inject.pod_options import SIDECAR_ROWS, SidecarOptions
from controller.inject.resources import sidecar_resources
from controller.settings import WebhookSettings

PORT_NAME = "phjob-artifacts"  # 15 characters, the maximum for a port's name
# The kernel discards a signal to PID 1 until Python has installed its handlers, unless the signal is blocked.
COMMAND = ["env", "--block-signal=TERM,USR1", "python3", "-m", "sidecar"]
_TERMINATION_LOG = "/dev/termination-log"
_LISTEN = PREFIX + "METRICS_LISTEN"
_MAX_GRACE_SECONDS = 86400  # the sidecar's own maximum
_SYNC_NOW = "kill -USR1 1"
# In a shared process namespace PID 1 is another process, with hostPID even the node's. The sidecar is the python3
# process in the mount namespace of this shell.
_SYNC_NOW_SHARED = (
    'for each in /proc/[0-9]*; do if [ "$each/ns/mnt" -ef /proc/self/ns/mnt ] && read name < "$each/comm" '
    '&& [ "$name" = python3 ]; then kill -USR1 "${each#/proc/}"; fi; done'
)


def build_container(
    spec: Mapping[str, Any],
    main: Mapping[str, Any],
    mounts: MountPlan,
    options: SidecarOptions,
    settings: WebhookSettings,
) -> Document:
    """Return the native sidecar: an init container that always restarts, starts before main and ends after main."""
    shares_processes = spec.get("shareProcessNamespace") or spec.get("hostPID")
    metrics_listen = _metrics_listen(spec, options)
    sync_now = ["/bin/sh", "-c", _SYNC_NOW_SHARED if shares_processes else _SYNC_NOW]
    container: Document = {
        "name": SIDECAR,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "restartPolicy": "Always",
        "command": list(COMMAND),
        "env": _env(mounts, options, metrics_listen, main_ids(spec, main)),
        "resources": sidecar_resources(spec, settings),
        "securityContext": security_context(spec, main, settings.nonroot_uid),
        "lifecycle": {"preStop": {"exec": {"command": sync_now}}},
        "terminationMessagePath": _TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts.mounts,
    }
    if address := listen(metrics_listen):
        container["ports"] = [{"name": PORT_NAME, "containerPort": address[1], "protocol": "TCP"}]
    return container


def _metrics_listen(spec: Mapping[str, Any], options: SidecarOptions) -> str:
    """Return the address for metrics; "" on the host network, where only one pod of a node could use the port."""
    if spec.get("hostNetwork"):
        return ""
    return options.variables.get(_LISTEN, SIDECAR_ROWS["metrics_listen"].default or "")


def _env(
    mounts: MountPlan, options: SidecarOptions, metrics_listen: str, ids: tuple[int | None, int | None]
) -> list[Document]:
    uid, gid = ("" if number is None else str(number) for number in ids)
    values = options.variables | {
        "PRIMEHUB_GROUP": mounts.group,
        PREFIX + "GRACE_SECONDS": str(max(1, min(options.grace_seconds, _MAX_GRACE_SECONDS))),
        PREFIX + "PATH": f"{HOME}/artifacts",
        PREFIX + "ROOT": ROOT,
        PREFIX + "VOLUMES": ":".join(mounts.volumes),
        PREFIX + "HIDDEN_PATHS": ":".join(mounts.hidden),
        PREFIX + "PRIVATE_VOLUMES": ":".join(mounts.private),
        PREFIX + "MAIN_UID": uid,
        PREFIX + "MAIN_GID": gid,
        PREFIX + "PHFS": PHFS,
        PREFIX + "STORE": STORE,
        PREFIX + "TERMINATION_LOG": _TERMINATION_LOG,
        _LISTEN: metrics_listen,
    }
    env = [_variable("PHJOB_NAME", options.job) if options.job else _from_pod("PHJOB_NAME", "metadata.name")]
    env += [_variable(name, values[name]) for name in sorted(values)]
    return [*env, _from_pod(PREFIX + "POD_UID", "metadata.uid")]


def _variable(name: str, value: str) -> Document:
    return {"name": name, "value": value.replace("$", "$$")}  # the kubelet would expand $(NAME)


def _from_pod(name: str, field: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}

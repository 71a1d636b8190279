"""Keeps what other webhooks may change in the sidecar: a cluster's policies, which the sidecar works with.

For example a mirror of the registry, a pull policy, resources, proxy variables or a mounted CA certificate. If the
webhook reverted these changes, the image might not be found, or a policy might refuse the pod.
"""

from collections.abc import Mapping
from typing import Any

from controller.inject.mounts import mount_path
from controller.inject.pod import Document, get_list, get_mapping
from controller.inject.resources import qos_class

# Fields that the webhook sets, or must not be set. Fields that the API server may add in the future are kept.
_OWN_FIELDS = {
    *("name", "command", "restartPolicy", "env", "securityContext", "lifecycle", "volumeMounts", "ports"),
    *("terminationMessagePath", "terminationMessagePolicy"),
    *("args", "workingDir", "envFrom", "startupProbe", "livenessProbe", "readinessProbe", "stdin", "stdinOnce", "tty"),
    *("volumeDevices", "restartPolicyRules"),
}
_POLICY_CONTEXT = ("seLinuxOptions", "appArmorProfile")
_NOT_KEPT_VARIABLES = ("PHJOB_", "PRIMEHUB_", "PYTHON", "LD_")  # they would change what the sidecar does


def keep_foreign_changes(wanted: Document, found: Mapping[str, Any], spec: Mapping[str, Any]) -> Document:
    """Return the sidecar to inject: `wanted`, with the changes in `found` that it works with.

    `spec` is the pod's without the sidecar. If no other webhook has damaged the sidecar, the result equals `found`.
    """
    sidecar = {field: value for field, value in found.items() if field not in _OWN_FIELDS} | wanted
    if _repository(found.get("image")) == _repository(wanted["image"]):
        sidecar["image"] = found["image"]
    sidecar["imagePullPolicy"] = found.get("imagePullPolicy") or wanted["imagePullPolicy"]
    if _keeps_qos(found, spec):
        sidecar["resources"] = get_mapping(found, "resources")
    sidecar["env"] = _merge_env(wanted["env"], get_list(found, "env"))
    sidecar["volumeMounts"] = _merge_mounts(wanted["volumeMounts"], get_list(found, "volumeMounts"))
    context = get_mapping(found, "securityContext")
    policies = {field: context[field] for field in _POLICY_CONTEXT if field in context}
    sidecar["securityContext"] = policies | wanted["securityContext"]
    return sidecar


def _repository(image: object) -> str:
    """Return the last component of the repository, which mirrors and resolved tags leave unchanged."""
    return str(image).partition("@")[0].rpartition("/")[2].partition(":")[0]


def _keeps_qos(found: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether the pod has the same QoS class with the resources in `found` as without the sidecar.

    Empty resources are no foreign change: the sidecar has none in a pod of the class BestEffort.
    """
    if not found.get("resources"):
        return False
    with_found = {**spec, "initContainers": [*get_list(spec, "initContainers"), found]}
    return bool(get_mapping(spec, "resources")) or qos_class(with_found) == qos_class(spec)


def _merge_env(wanted: list[Document], found: list[Document]) -> list[Document]:
    missing = {variable["name"]: variable for variable in wanted}
    env = []
    for variable in found:
        name = str(variable.get("name"))
        if own := missing.pop(name, None):
            env.append(variable if _is_same_variable(own, variable) else own)
        elif not name.startswith(_NOT_KEPT_VARIABLES):
            env.append(variable)
    return [*env, *missing.values()]


def _is_same_variable(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether the variables are equal. The API server drops an empty value."""
    return {field: value for field, value in wanted.items() if value} == dict(found) or wanted == found


def _merge_mounts(wanted: list[Document], found: list[Document]) -> list[Document]:
    missing = {mount["mountPath"]: mount for mount in wanted}
    own_paths = list(missing)
    mounts = []
    for mount in found:
        path = mount_path(mount)
        if path in missing:
            mounts.append(missing.pop(path))
        elif not any(_overlap(path, own) for own in own_paths):
            mounts.append(mount)
    return [*mounts, *missing.values()]


def _overlap(path: str, other: str) -> bool:
    return path == "/" or f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")

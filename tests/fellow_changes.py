"""What a fellow webhook that runs after ours may do to a pod, by name. Each function changes a pod in place.

Standard library only: the end-to-end tests run this file in a pod.
"""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]

SIDECAR = "phjob-artifacts"


def sidecars(pod: Document) -> list[Document]:
    """Return the init containers that are our sidecar."""
    return [container for container in pod["spec"].get("initContainers") or [] if SIDECAR in container["name"]]


def _without_sidecars(pod: Document) -> list[Document]:
    ours = sidecars(pod)
    return [container for container in pod["spec"].get("initContainers") or [] if container not in ours]


def drop_restart_policy(pod: Document) -> None:
    """As webhooks do that decode the pod into types without this field."""
    for container in pod["spec"].get("initContainers") or []:
        container.pop("restartPolicy", None)


def drop_lifecycle(pod: Document) -> None:
    """Remove the preStop hook."""
    for container in sidecars(pod):
        container.pop("lifecycle", None)


def drop_restart_policy_and_lifecycle(pod: Document) -> None:
    """Make the sidecar a valid ordinary init container, which main waits for."""
    drop_restart_policy(pod)
    drop_lifecycle(pod)


def change_restart_policy(pod: Document) -> None:
    """Set a restart policy that a native sidecar cannot have."""
    for container in sidecars(pod):
        container["restartPolicy"] = "OnFailure"


def drop_volume(pod: Document) -> None:
    """Remove our volume, but not its mount."""
    pod["spec"]["volumes"] = [volume for volume in pod["spec"]["volumes"] if SIDECAR not in volume["name"]]


def change_volume(pod: Document) -> None:
    """Replace our empty volume by another kind."""
    for volume in pod["spec"]["volumes"]:
        if SIDECAR in volume["name"]:
            del volume["emptyDir"]
            volume["hostPath"] = {"path": "/"}


def drop_mounts(pod: Document) -> None:
    """Remove the sidecar's mounts, so that the API server mounts the token into the sidecar."""
    for container in sidecars(pod):
        container["volumeMounts"] = []


def drop_sidecar(pod: Document) -> None:
    """Remove our container alone."""
    pod["spec"]["initContainers"] = _without_sidecars(pod)


def drop_init_containers(pod: Document) -> None:
    """Remove all init containers."""
    pod["spec"].pop("initContainers", None)


def drop_everything_but_the_volume(pod: Document) -> None:
    """Remove the init containers and all annotations."""
    drop_init_containers(pod)
    pod["metadata"].pop("annotations", None)


def drop_annotations(pod: Document) -> None:
    """Remove all annotations."""
    pod["metadata"].pop("annotations", None)


def change_image(pod: Document) -> None:
    """Replace the image by one without the sidecar's program."""
    for container in sidecars(pod):
        container["image"] = "registry.example/busybox:1"


def change_command(pod: Document) -> None:
    """Wrap the command, as tracers and secret injectors do."""
    for container in sidecars(pod):
        container["command"] = ["/wrapper", *container["command"]]


def add_arguments(pod: Document) -> None:
    """Add arguments, which the sidecar does not know."""
    for container in sidecars(pod):
        container["args"] = ["--verbose"]


def add_startup_probe(pod: Document) -> None:
    """Add a probe that never succeeds: main would never start."""
    for container in sidecars(pod):
        container["startupProbe"] = {"exec": {"command": ["false"]}}


def change_variables(pod: Document) -> None:
    """Change what the sidecar collects, and how its interpreter starts."""
    for container in sidecars(pod):
        for variable in container["env"]:
            if variable["name"] == "PHJOB_ARTIFACT_PATH":
                variable["value"] = "/elsewhere"
        container["env"].append({"name": "PYTHONPATH", "value": "/instrumentation"})


def change_security_context(pod: Document) -> None:
    """Drop all capabilities of all containers and forbid root."""
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            container["securityContext"] = {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}


def set_pod_user(pod: Document) -> None:
    """Run the pod as a user without capabilities, as policies do."""
    pod["spec"]["securityContext"] = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
    change_security_context(pod)


def rename_sidecar(pod: Document) -> None:
    """Rename our container."""
    for container in sidecars(pod):
        container["name"] = f"fellow-{SIDECAR}"


def add_first(pod: Document) -> None:
    """Add an init container before ours, or move it there."""
    main = pod["spec"]["containers"][0]
    fellow = {"name": "fellow", "image": main["image"], "command": ["true"]}
    others = [container for container in pod["spec"].get("initContainers") or [] if container["name"] != "fellow"]
    pod["spec"]["initContainers"] = [fellow, *others]


def reverse_containers(pod: Document) -> None:
    """Reverse the order of containers, volumes and variables."""
    for documents in (pod["spec"].get("initContainers") or [], pod["spec"]["volumes"]):
        documents.reverse()
    for container in sidecars(pod):
        container["env"].reverse()


def move_to_containers(pod: Document) -> None:
    """Make the sidecar a regular container, as on clusters without native sidecars."""
    ours = sidecars(pod)
    drop_sidecar(pod)
    for container in ours:
        container.pop("restartPolicy", None)
    pod["spec"]["containers"] += ours


def add_volume_to_main(pod: Document) -> None:
    """Mount another volume into main."""
    if any(volume["name"] == "fellow" for volume in pod["spec"]["volumes"]):
        return
    pod["spec"]["volumes"].append({"name": "fellow", "emptyDir": {}})
    main = next(container for container in pod["spec"]["containers"] if container["name"] == "main")
    main["volumeMounts"] = [*main["volumeMounts"], {"name": "fellow", "mountPath": "/fellow"}]


def lower_grace(pod: Document) -> None:
    """Set a short grace period."""
    pod["spec"]["terminationGracePeriodSeconds"] = 5


def make_guaranteed(pod: Document) -> None:
    """Give main equal requests and limits, which changes the pod's QoS class."""
    amounts = {"cpu": "100m", "memory": "64Mi"}
    pod["spec"]["containers"][0]["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}


DAMAGE: dict[str, Callable[[Document], None]] = {
    change.__name__.replace("_", "-"): change
    for change in (
        drop_restart_policy,
        drop_lifecycle,
        drop_restart_policy_and_lifecycle,
        change_restart_policy,
        drop_volume,
        change_volume,
        drop_mounts,
        drop_sidecar,
        drop_init_containers,
        drop_everything_but_the_volume,
        drop_annotations,
        change_image,
        change_command,
        add_arguments,
        add_startup_probe,
        change_variables,
        change_security_context,
        set_pod_user,
        rename_sidecar,
        add_first,
        reverse_containers,
        move_to_containers,
        add_volume_to_main,
        lower_grace,
        make_guaranteed,
    )
}


def unmount_phfs(pod: Document) -> None:
    """Remove PHFS from main."""
    main = next(container for container in pod["spec"]["containers"] if container["name"] == "main")
    main["volumeMounts"] = [mount for mount in main["volumeMounts"] if mount["mountPath"] != "/phfs"]


def opt_out(pod: Document) -> None:
    """Disable collection for the pod."""
    pod["metadata"].setdefault("annotations", {})["primehub.io/artifact-enabled"] = "false"


WITHDRAWAL: dict[str, Callable[[Document], None]] = {"unmount-phfs": unmount_phfs, "opt-out": opt_out}


def mirror_image(pod: Document) -> None:
    """Pull all images from a mirror."""
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            container["image"] = f"mirror.example/{container['image']}"
            container["imagePullPolicy"] = "Always"


def pin_image(pod: Document) -> None:
    """Replace the tag by a digest."""
    for container in sidecars(pod):
        container["image"] = f"{container['image'].rpartition(':')[0]}@sha256:{'0' * 64}"


def add_proxy_and_certificate(pod: Document) -> None:
    """Add variables and a mount to every container."""
    pod["spec"]["volumes"].insert(0, {"name": "fellow-ca", "configMap": {"name": "ca"}})
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            env = {"name": "HTTPS_PROXY", "value": "http://proxy.example"}
            container["env"] = [env, *(container.get("env") or [])]
            mount = {"name": "fellow-ca", "mountPath": "/etc/ssl/fellow", "readOnly": True}
            container["volumeMounts"] = [mount, *(container.get("volumeMounts") or [])]


def set_resources(pod: Document) -> None:
    """Set the sidecar's resources."""
    for container in sidecars(pod):
        container["resources"] = {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi"}}


def set_profiles(pod: Document) -> None:
    """Set security profiles and a field from the future."""
    for container in sidecars(pod):
        container["securityContext"] |= {"seLinuxOptions": {"level": "s0"}}
        container["fieldFromTheFuture"] = 1


KEPT: dict[str, Callable[[Document], None]] = {
    change.__name__.replace("_", "-"): change
    for change in (mirror_image, pin_image, add_proxy_and_certificate, set_resources, set_profiles)
}

"""The manifests build, are what Kubernetes takes, and keep the promises of their comments."""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from artifacts.environment import Setting
from tests.machine import require
from tests.manifests.builds import (
    FOLDERS,
    GOLDEN,
    MANIFESTS,
    NAMESPACES,
    Document,
    build,
    build_text,
    containers,
    find,
    pod_specs,
    sources,
)

NAMES = sorted(FOLDERS)
# The oldest Kubernetes with sidecars, the one that the end-to-end tests run on, and the newest.
VERSIONS = ["1.29", "1.34", "1.37"]
# Of others: their schemas are not Kubernetes'.
FOREIGN = ("cert-manager.io/v1", "monitoring.coreos.com/v1")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_built_is_what_was_looked_at(name: str) -> None:
    assert build_text(name) == (GOLDEN / f"{name}.txt").read_text(), "make golden, and look at what changes"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_valid(name: str, version: str) -> None:
    require(importlib.util.find_spec("kubernetes_validate"), "the package kubernetes-validate")
    validate = importlib.import_module("kubernetes_validate").validate
    for document in build(name):
        if document["apiVersion"] not in FOREIGN:
            validate(document, version, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_all_is_in_the_namespace_of_the_overlay(name: str) -> None:
    found = {each["metadata"].get("namespace") for each in build(name)} - {None}
    assert found == {NAMESPACES[name]}
    for binding in find(name, "ClusterRoleBinding") + find(name, "RoleBinding"):
        assert [each["namespace"] for each in binding["subjects"]] == [NAMESPACES[name]]
    assert "by-wiring" not in build_text(name)
    assert "by wiring" not in build_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_webhook_is_asked_about_pods_of_phjobs_in_its_namespace_alone_and_fails_open(name: str) -> None:
    (configuration,) = find(name, "MutatingWebhookConfiguration")
    (webhook,) = configuration["webhooks"]
    assert webhook["clientConfig"] == {
        "service": {
            "name": "phjob-artifacts-webhook",
            "namespace": NAMESPACES[name],
            "path": "/inject",
            "port": 443,
        }
    }
    promised = {
        "failurePolicy": "Ignore",
        "timeoutSeconds": 3,
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "objectSelector": {"matchLabels": {"app": "primehub-job"}},
    }
    assert {key: webhook[key] for key in promised} == promised
    expressions = {
        each["key"]: (each["operator"], each["values"]) for each in webhook["namespaceSelector"]["matchExpressions"]
    }
    assert expressions == {
        "kubernetes.io/metadata.name": ("In", [NAMESPACES[name]]),
        "primehub.io/artifact-injection": ("NotIn", ["off"]),
    }
    for each in build(name):
        labels = each.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        assert "app" not in labels, "pods of the collector's own must not be injected"


@pytest.mark.parametrize("name", NAMES)
def test_selectors_select_pods_and_ports_are_there(name: str) -> None:
    templates = {each["metadata"]["name"]: each["spec"]["template"] for each in find(name, "Deployment")}
    for each in build(name):
        if each["kind"] == "Service":
            template = templates[each["metadata"]["name"]]
            assert each["spec"]["selector"].items() <= template["metadata"]["labels"].items()
            ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports
        if each["kind"] in ("PodDisruptionBudget", "Deployment"):
            template = templates[each["metadata"]["name"]]
            assert each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert templates.keys() == {each["metadata"]["name"] for each in find(name, "PodDisruptionBudget")}


@pytest.mark.parametrize("name", NAMES)
def test_what_serves_has_two_replicas_apart_from_each_other_probes_and_requests(name: str) -> None:
    for deployment in find(name, "Deployment"):
        assert deployment["spec"]["replicas"] == 2
        spec = deployment["spec"]["template"]["spec"]
        (spread,) = spec["topologySpreadConstraints"]
        assert spread["labelSelector"] == deployment["spec"]["selector"]
        assert all({"livenessProbe", "readinessProbe"} <= container.keys() for container in spec["containers"])
    for _, spec in pod_specs(name):
        for container in containers(spec):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def restricted_problems(spec: Document) -> list[str]:
    """What the Pod Security level restricted would say of a pod, and that its root can be written to."""
    problems = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    problems += [
        f"volume {each['name']}"
        for each in spec.get("volumes", [])
        if not {
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        }
        & each.keys()
    ]
    of_pod = spec.get("securityContext", {})
    for container in containers(spec):
        context = {**of_pod, **container.get("securityContext", {})}
        wanted = {
            "runs as root": context.get("runAsNonRoot") is True and context.get("runAsUser") != 0,
            "seccomp": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "escalation": context.get("allowPrivilegeEscalation") is False,
            "privileged": not context.get("privileged"),
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "root can be written to": context.get("readOnlyRootFilesystem") is True,
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        problems += [f"{container['name']}: {what}" for what, is_fine in wanted.items() if not is_fine]
    return problems


@pytest.mark.parametrize("name", NAMES)
def test_our_own_pods_meet_the_restricted_level(name: str) -> None:
    problems = {workload: restricted_problems(spec) for workload, spec in pod_specs(name)}
    # The node's folder is root's; nobody else can open it to others.
    assert problems.pop("phfs-mode", ["phfs-mode: runs as root"]) == ["phfs-mode: runs as root"]
    assert {workload: found for workload, found in problems.items() if found} == {}


def test_the_check_for_the_restricted_level_sees_what_is_missing() -> None:
    bare = {"hostNetwork": True, "volumes": [{"name": "node", "hostPath": {}}], "containers": [{"name": "main"}]}
    assert len(restricted_problems(bare)) == 7


def test_the_demo_holds_its_jobs_to_the_baseline_level() -> None:
    (namespace,) = find("demo", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


def read_settings(container: Document, links: Path) -> tuple[set[str], Any]:
    """The variables that its process knows, and the settings that it would read from what it is told."""
    module, name = {
        ("controller", "webhook"): ("controller.settings", "WebhookSettings"),
        ("controller", "reconcile"): ("controller.reconcile.settings", "ReconcilerSettings"),
        ("api", "serve"): ("api.settings", "ApiSettings"),
    }[tuple(container["args"])]
    settings = importlib.import_module(module)
    table: tuple[Setting, ...] = settings.SETTINGS_TABLE + getattr(settings, "DEFAULTS_TABLE", ())
    environ = {each["name"]: each["value"] for each in container["env"]}
    if "PHJOB_API_LINK_KEY_FILE" in environ:
        environ["PHJOB_API_LINK_KEY_FILE"] = str(links)
    names = {row.env + suffix for row in table for suffix in ("", *["_FILE"] * row.secret)}
    return names, getattr(settings, name).from_env(environ)


@pytest.mark.parametrize("name", NAMES)
def test_what_processes_are_told_are_settings_that_they_take(name: str, tmp_path: Path) -> None:
    links = tmp_path / "key"
    links.write_text("k" * 64)
    for deployment in find(name, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        known, _ = read_settings(container, links)
        assert {each["name"] for each in container["env"]} <= known


def test_the_sidecars_image_is_told_as_the_overlay_names_it(tmp_path: Path) -> None:
    for name in NAMES:
        (webhook,) = find(name, "Deployment", "phjob-artifacts-webhook")
        spec = webhook["spec"]["template"]["spec"]
        _, settings = read_settings(spec["containers"][0], tmp_path)
        assert settings.image == spec["initContainers"][0]["image"]
        assert ":" in settings.image.rpartition("/")[2]


def test_the_controller_names_the_objects_that_are_there(tmp_path: Path) -> None:
    (controller,) = find("demo", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.reconcile is True
    assert find("demo", "Lease", settings.lease)
    assert find("demo", "Secret", settings.certificate_secret)
    assert find("demo", "Secret", settings.link_key_secret)
    assert find("demo", "MutatingWebhookConfiguration", settings.webhook)
    assert find("demo", "PersistentVolumeClaim", settings.phfs_claim)


def test_beside_primehub_nothing_of_ours_owns_phjobs_or_runs_them(tmp_path: Path) -> None:
    assert not find("primehub", "CustomResourceDefinition") + find("primehub", "Namespace")
    (controller,) = find("primehub", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.reconcile is False
    granted = [rule for role in find("primehub", "Role") for rule in role["rules"]]
    on_pods = {verb for rule in granted if "pods" in rule["resources"] for verb in rule["verbs"]}
    assert on_pods == {"get", "list", "watch"}
    assert not [rule for rule in granted if {"phjobs/status", "phjobs/finalizers"} & set(rule["resources"])]


def test_cert_manager_takes_the_place_of_the_controller(tmp_path: Path) -> None:
    (controller,) = find("everything", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.certificate_secret == ""
    rules = [rule for role in find("everything", "Role") + find("everything", "ClusterRole") for rule in role["rules"]]
    assert [rule["resourceNames"] for rule in rules if "secrets" in rule["resources"]] == [["phjob-artifacts-link-key"]]
    assert not [rule for rule in rules if "mutatingwebhookconfigurations" in rule["resources"]]
    (certificate,) = find("everything", "Certificate", "phjob-artifacts-webhook")
    (webhook,) = find("everything", "Deployment", "phjob-artifacts-webhook")
    mounted = [each.get("secret", {}).get("secretName") for each in webhook["spec"]["template"]["spec"]["volumes"]]
    assert certificate["spec"]["secretName"] in mounted
    assert certificate["spec"]["dnsNames"][0] == "phjob-artifacts-webhook.elsewhere.svc"
    (configuration,) = find("everything", "MutatingWebhookConfiguration")
    injected = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
    assert injected == "elsewhere/phjob-artifacts-webhook"


def test_with_a_bucket_the_api_mounts_no_phfs() -> None:
    (api,) = find("everything", "Deployment", "phjob-artifacts-api")
    assert "phfs" not in [each["name"] for each in api["spec"]["template"]["spec"]["volumes"]]


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_named_one_by_one_and_none_makes_or_lists_secrets(name: str) -> None:
    for role in find(name, "Role") + find(name, "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"]
                assert set(rule["verbs"]) == {"get", "update"}


def test_each_verb_has_its_reason() -> None:
    verbs, reasons = 0, 0
    for path in sources():
        for document in yaml.safe_load_all(path.read_text()):
            if document.get("kind") in ("Role", "ClusterRole"):
                verbs += sum(len(rule["verbs"]) for rule in document.get("rules", []))
        reasons += len(re.findall(r"^ +- [a-z]+ # \w", path.read_text(), re.MULTILINE))
    assert verbs == reasons > 20


def test_images_are_named_by_overlays_alone() -> None:
    for path in sources():
        images = re.findall(r"^ *-? *image: *(\S+)$", path.read_text(), re.MULTILINE)
        assert set(images) <= {"phjob-artifacts-api", "phjob-artifacts-sidecar"}, path
        if path.parts[-3] != "overlays":
            assert "newTag" not in path.read_text(), path


def test_nothing_secret_is_in_these_files() -> None:
    for name in NAMES:
        for secret in find(name, "Secret"):
            assert not {"data", "stringData"} & secret.keys()


def test_the_sample_is_a_phjob_that_the_definition_takes() -> None:
    sample = yaml.safe_load((MANIFESTS / "samples/phjob.yaml").read_text())
    (definition,) = find("demo", "CustomResourceDefinition")
    (version,) = definition["spec"]["versions"]
    assert sample["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    known = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(known["required"]) <= sample["spec"].keys() <= known["properties"].keys()

"""The manifests build, are valid, and have the properties that the documentation promises."""

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
    ROOT,
    Document,
    build,
    build_text,
    containers,
    find,
    kustomize,
    pod_specs,
    sources,
)

NAMES = sorted(FOLDERS)
# The oldest Kubernetes version with native sidecars, that of the end-to-end tests, and the newest.
VERSIONS = ["1.29", "1.34", "1.37"]
# API groups whose schemas are not part of Kubernetes; see test_foreign.py.
FOREIGN = ("cert-manager.io/v1", "monitoring.coreos.com/v1")


@pytest.mark.parametrize("name", NAMES)
def test_build_equals_the_golden_file(name: str) -> None:
    assert build_text(name) == (GOLDEN / f"{name}.txt").read_text(), "run `make golden` and review the changes"


@pytest.mark.parametrize("folder", ["overlay", "primehub"])
def test_overlays_of_the_end_to_end_tests_build(folder: str) -> None:
    assert kustomize(ROOT / "tests/e2e" / folder).stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_valid(name: str, version: str) -> None:
    require(importlib.util.find_spec("kubernetes_validate"), "the package kubernetes-validate")
    validate = importlib.import_module("kubernetes_validate").validate
    for document in build(name):
        if document["apiVersion"] not in FOREIGN:
            validate(document, version, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_all_objects_are_in_the_overlays_namespace(name: str) -> None:
    namespaces = {document["metadata"].get("namespace") for document in build(name)} - {None}
    assert namespaces == {NAMESPACES[name]}
    for binding in find(name, "ClusterRoleBinding") + find(name, "RoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == [NAMESPACES[name]]
    assert "by-wiring" not in build_text(name)
    assert "by wiring" not in build_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_webhook_reviews_only_phjob_pods_of_its_namespace_and_fails_open(name: str) -> None:
    (configuration,) = find(name, "MutatingWebhookConfiguration")
    webhook, retry = configuration["webhooks"]
    added = {"name": "retry.artifacts.primehub.io", "matchConditions": retry["matchConditions"]}
    assert retry == webhook | added  # called only if the first call left no annotation
    assert "primehub.io/artifact-sidecar" in retry["matchConditions"][0]["expression"]
    assert webhook["clientConfig"] == {
        "service": {
            "name": "phjob-artifacts-webhook",
            "namespace": NAMESPACES[name],
            "path": "/inject",
            "port": 443,
        }
    }
    expected = {
        "failurePolicy": "Ignore",
        "timeoutSeconds": 3,
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "objectSelector": {"matchLabels": {"app": "primehub-job"}},
    }
    assert {key: webhook[key] for key in expected} == expected
    expressions = {
        expression["key"]: (expression["operator"], expression["values"])
        for expression in webhook["namespaceSelector"]["matchExpressions"]
    }
    assert expressions == {
        "kubernetes.io/metadata.name": ("In", [NAMESPACES[name]]),
        "primehub.io/artifact-injection": ("NotIn", ["off"]),
    }
    for document in build(name):
        labels = document.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        assert "app" not in labels, "our own pods must not be injected"


@pytest.mark.parametrize("name", NAMES)
def test_selectors_match_pods_and_ports_exist(name: str) -> None:
    templates = {
        deployment["metadata"]["name"]: deployment["spec"]["template"] for deployment in find(name, "Deployment")
    }
    for document in build(name):
        if document["kind"] == "Service":
            template = templates[document["metadata"]["name"]]
            assert document["spec"]["selector"].items() <= template["metadata"]["labels"].items()
            ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in document["spec"]["ports"]} <= ports
        if document["kind"] in ("PodDisruptionBudget", "Deployment"):
            template = templates[document["metadata"]["name"]]
            assert document["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert templates.keys() == {budget["metadata"]["name"] for budget in find(name, "PodDisruptionBudget")}


@pytest.mark.parametrize("name", ["demo", "primehub"])
def test_policies_of_the_overlays_allow_each_pods_own_ports_only(name: str) -> None:
    for deployment in find(name, "Deployment"):
        template = deployment["spec"]["template"]
        policies = [
            policy["spec"]
            for policy in find(name, "NetworkPolicy")
            if policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        ]
        assert all(policy["policyTypes"] == ["Ingress"] for policy in policies)
        allowed = {port["port"] for spec in policies for rule in spec.get("ingress", []) for port in rule["ports"]}
        assert allowed == {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}


@pytest.mark.parametrize("name", NAMES)
def test_deployments_have_two_spread_replicas_probes_and_resource_requests(name: str) -> None:
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
    """Return violations of the Pod Security level "restricted", and a writable root file system."""
    problems = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    problems += [
        f"volume {volume['name']}"
        for volume in spec.get("volumes", [])
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
        & volume.keys()
    ]
    pod_context = spec.get("securityContext", {})
    for container in containers(spec):
        context = {**pod_context, **container.get("securityContext", {})}
        checks = {
            "runs as root": context.get("runAsNonRoot") is True and context.get("runAsUser") != 0,
            "seccomp": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "escalation": context.get("allowPrivilegeEscalation") is False,
            "privileged": not context.get("privileged"),
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "writable root file system": context.get("readOnlyRootFilesystem") is True,
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        problems += [f"{container['name']}: {problem}" for problem, is_fine in checks.items() if not is_fine]
    return problems


@pytest.mark.parametrize("name", NAMES)
def test_own_pods_meet_the_restricted_level(name: str) -> None:
    problems = {workload: restricted_problems(spec) for workload, spec in pod_specs(name)}
    # phfs-mode changes the mode of a node's folder, which belongs to root.
    assert problems.pop("phfs-mode", ["phfs-mode: runs as root"]) == ["phfs-mode: runs as root"]
    assert {workload: violations for workload, violations in problems.items() if violations} == {}


def test_restricted_level_check_detects_violations() -> None:
    bare = {"hostNetwork": True, "volumes": [{"name": "node", "hostPath": {}}], "containers": [{"name": "main"}]}
    assert len(restricted_problems(bare)) == 7


def test_demo_enforces_the_baseline_level() -> None:
    (namespace,) = find("demo", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


def read_settings(container: Document, links: Path) -> tuple[set[str], Any]:
    """Return the names of the process' settings, and the settings that it reads from the container's environment."""
    module, name = {
        ("controller", "webhook"): ("controller.settings", "WebhookSettings"),
        ("controller", "reconcile"): ("controller.reconcile.settings", "ReconcilerSettings"),
        ("api", "serve"): ("api.settings", "ApiSettings"),
    }[tuple(container["args"])]
    settings = importlib.import_module(module)
    table: tuple[Setting, ...] = settings.SETTINGS_TABLE + getattr(settings, "DEFAULTS_TABLE", ())
    environ = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
    if "PHJOB_API_LINK_KEY_FILE" in environ:
        environ["PHJOB_API_LINK_KEY_FILE"] = str(links)
    names = {row.env + suffix for row in table for suffix in ("", *["_FILE"] * row.secret)}
    return names, getattr(settings, name).from_env(environ)


@pytest.mark.parametrize("name", NAMES)
def test_environment_variables_are_known_settings(name: str, tmp_path: Path) -> None:
    links = tmp_path / "key"
    links.write_text("k" * 64)
    for deployment in find(name, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        names, _ = read_settings(container, links)
        assert {variable["name"] for variable in container["env"]} <= names


def test_webhook_setting_has_the_sidecar_image_of_the_overlay(tmp_path: Path) -> None:
    for name in NAMES:
        (webhook,) = find(name, "Deployment", "phjob-artifacts-webhook")
        spec = webhook["spec"]["template"]["spec"]
        _, settings = read_settings(spec["containers"][0], tmp_path)
        assert settings.image == spec["initContainers"][0]["image"]
        assert ":" in settings.image.rpartition("/")[2]


def test_objects_in_the_controllers_settings_exist(tmp_path: Path) -> None:
    (controller,) = find("demo", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.reconcile is True
    assert find("demo", "Lease", settings.lease)
    assert find("demo", "Secret", settings.certificate_secret)
    assert find("demo", "Secret", settings.link_key_secret)
    assert find("demo", "MutatingWebhookConfiguration", settings.webhook)
    assert find("demo", "PersistentVolumeClaim", settings.phfs_claim)


def test_primehub_overlay_neither_owns_nor_runs_phjobs(tmp_path: Path) -> None:
    assert not find("primehub", "CustomResourceDefinition") + find("primehub", "Namespace")
    (controller,) = find("primehub", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.reconcile is False
    rules = [rule for role in find("primehub", "Role") for rule in role["rules"]]
    on_pods = {verb for rule in rules if "pods" in rule["resources"] for verb in rule["verbs"]}
    assert on_pods == {"get", "list", "watch"}
    assert not [rule for rule in rules if {"phjobs/status", "phjobs/finalizers"} & set(rule["resources"])]


def test_cert_manager_replaces_the_controllers_certificates(tmp_path: Path) -> None:
    (controller,) = find("everything", "Deployment", "phjob-artifacts-controller")
    _, settings = read_settings(controller["spec"]["template"]["spec"]["containers"][0], tmp_path)
    assert settings.certificate_secret == ""
    rules = [rule for role in find("everything", "Role") + find("everything", "ClusterRole") for rule in role["rules"]]
    assert [rule["resourceNames"] for rule in rules if "secrets" in rule["resources"]] == [["phjob-artifacts-link-key"]]
    assert not [rule for rule in rules if "mutatingwebhookconfigurations" in rule["resources"]]
    (certificate,) = find("everything", "Certificate", "phjob-artifacts-webhook")
    (webhook,) = find("everything", "Deployment", "phjob-artifacts-webhook")
    mounted = [volume.get("secret", {}).get("secretName") for volume in webhook["spec"]["template"]["spec"]["volumes"]]
    assert certificate["spec"]["secretName"] in mounted
    assert certificate["spec"]["dnsNames"][0] == "phjob-artifacts-webhook.elsewhere.svc"
    (configuration,) = find("everything", "MutatingWebhookConfiguration")
    annotation = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
    assert annotation == "elsewhere/phjob-artifacts-webhook"


def test_api_with_a_bucket_does_not_mount_phfs() -> None:
    (api,) = find("everything", "Deployment", "phjob-artifacts-api")
    assert "phfs" not in [volume["name"] for volume in api["spec"]["template"]["spec"]["volumes"]]


@pytest.mark.parametrize("name", NAMES)
def test_roles_have_no_wildcards_and_do_not_create_or_list_secrets(name: str) -> None:
    for role in find(name, "Role") + find(name, "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"]
                assert set(rule["verbs"]) == {"get", "update"}


def test_every_verb_has_a_comment_with_its_reason() -> None:
    verbs, reasons = 0, 0
    for path in sources():
        for document in yaml.safe_load_all(path.read_text()):
            if document.get("kind") in ("Role", "ClusterRole"):
                verbs += sum(len(rule["verbs"]) for rule in document.get("rules", []))
        reasons += len(re.findall(r"^ +- [a-z]+ # \w", path.read_text(), re.MULTILINE))
    assert verbs == reasons > 20


def test_only_overlays_name_images() -> None:
    for path in sources():
        images = re.findall(r"^ *-? *image: *(\S+)$", path.read_text(), re.MULTILINE)
        assert set(images) <= {"phjob-artifacts-api", "phjob-artifacts-sidecar"}, path
        if path.parts[-3] != "overlays":
            assert "newTag" not in path.read_text(), path


def test_manifests_contain_no_secret_data() -> None:
    for name in NAMES:
        for secret in find(name, "Secret"):
            assert not {"data", "stringData"} & secret.keys()


def test_sample_is_a_valid_phjob() -> None:
    sample = yaml.safe_load((MANIFESTS / "samples/phjob.yaml").read_text())
    (definition,) = find("demo", "CustomResourceDefinition")
    (version,) = definition["spec"]["versions"]
    assert sample["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(schema["required"]) <= sample["spec"].keys() <= schema["properties"].keys()
